# PgBouncer in front of the member's own PostgreSQL.
include:
  - pgsql.config

pgsql-pgbouncer:
  pigsty_pgbouncer.managed:
    - require:
      - pigsty_cert: pgsql-cert
      - pigsty_pgsql: pgsql-files
