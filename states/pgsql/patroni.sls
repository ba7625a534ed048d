# Patroni, and PostgreSQL under it: the declared primary bootstraps, the others follow the leader.
include:
  - pgsql.config
  - pgsql.hba

pgsql-patroni:
  pigsty_patroni.managed:
    - require:
      - sls: pgsql.config
      - pigsty_hba: pgsql-hba

# What all members share stands in the DCS; the leader keeps it.
pgsql-dynamic:
  pigsty_dynamic.managed:
    - require:
      - pigsty_patroni: pgsql-patroni
