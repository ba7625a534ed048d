# Patroni, and PostgreSQL under it: the declared primary bootstraps, the others follow the leader.
include:
  - pgsql.config
  - pgsql.hba

pgsql-patroni:
  pigsty_patroni.managed:
    - require:
      - pigsty_cert: pgsql-cert
      - pigsty_pgsql: pgsql-files
      - pigsty_hba: pgsql-hba
