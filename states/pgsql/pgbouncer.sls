# PgBouncer in front of the member's own PostgreSQL.
pgsql-pgbouncer:
  pigsty_pgbouncer.managed: []
