# A PostgreSQL member: from a bare machine to a cluster that serves through HAProxy.
include:
  - pgsql.install
  - pgsql.config
{%- if pillar['pigsty']['pgsql']['params']['patroni_enabled'] %}
  - pgsql.hba
  - pgsql.patroni
  - pgsql.objects
{%- if pillar['pigsty']['pgsql']['backup'] %}
  - pgsql.backup
{%- endif %}
{%- endif %}
  - pgsql.pgbouncer
  - pgsql.service
