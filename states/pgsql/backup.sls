# Backups: the stanza, and the first full backup, made by the member that leads now.
include:
  - pgsql.patroni

pgsql-backup:
  pigsty_pgbackrest.managed:
    - name: {{ pillar['pigsty']['pgsql']['cluster'] | json }}
    - require:
      - pigsty_patroni: pgsql-patroni
