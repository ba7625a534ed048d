# A PostgreSQL member: from a bare machine to a cluster that serves through HAProxy.
#
# One aspect of a member (pgsql.hba, pgsql.objects, pgsql.pgbouncer …) includes nothing, so that it can be run alone
# in a second and touches nothing else. What a whole run has to do before each stands here.
{%- set pgsql = pillar['pigsty']['pgsql'] %}
{%- set patroni = pgsql['params']['patroni_enabled'] %}
include:
  - pgsql.install
  - pgsql.config
{%- if patroni %}
  - pgsql.hba
  - pgsql.patroni
  - pgsql.objects
{%- if pgsql['backup'] %}
  - pgsql.backup
{%- endif %}
{%- endif %}
  - pgsql.pgbouncer
  - pgsql.service
  - pgsql.vip

extend:
  pgsql-vip:
    pigsty_vip:
      - require:
        - pkg: pgsql-packages
        - pigsty_cert: pgsql-cert
{%- if patroni %}
        - pigsty_patroni: pgsql-patroni
{%- endif %}
  pgsql-pgbouncer:
    pigsty_pgbouncer:
      - require:
        - pigsty_cert: pgsql-cert
        - pigsty_pgsql: pgsql-files
{%- if patroni %}
  pgsql-hba:
    pigsty_hba:
      - require:
        - pigsty_pgsql: pgsql-layout
  pgsql-patroni:
    pigsty_patroni:
      - require:
        - sls: pgsql.config
        - pigsty_hba: pgsql-hba
  pgsql-objects:
    pigsty_sql:
      - require:
        - pigsty_patroni: pgsql-patroni
{%- if pgsql['backup'] %}
  pgsql-backup:
    pigsty_pgbackrest:
      - require:
        - pigsty_patroni: pgsql-patroni
{%- endif %}
{%- endif %}
