# Roles, databases and what is in them: made by the member that leads now, whoever that is.
pgsql-objects:
  pigsty_sql.objects:
    - name: {{ pillar['pigsty']['pgsql']['cluster'] | json }}
