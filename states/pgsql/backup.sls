# Backups: the stanza, and the first full backup, made by the member that leads now.
pgsql-backup:
  pigsty_pgbackrest.managed:
    - name: {{ pillar['pigsty']['pgsql']['cluster'] | json }}
