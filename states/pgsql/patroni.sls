# Patroni, and PostgreSQL under it: the declared primary bootstraps, the others follow the leader.
include:
  - pgsql.config
  - pgsql.hba

pgsql-patroni:
  pigsty_patroni.managed:
    - require:
      - sls: pgsql.config
      - pigsty_hba: pgsql-hba
