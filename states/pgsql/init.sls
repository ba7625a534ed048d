# A PostgreSQL member: from a bare machine to a cluster that serves through HAProxy.
include:
  - pgsql.install
  - pgsql.config
  - pgsql.hba
  - pgsql.patroni
  - pgsql.objects
  - pgsql.pgbouncer
  - pgsql.service
