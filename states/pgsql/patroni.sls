# Patroni, and PostgreSQL under it: the declared primary bootstraps, the others follow the leader.
pgsql-patroni:
  pigsty_patroni.managed: []

# Nothing depends on this: what PostgreSQL refuses is left out of what is configured above.
pgsql-settings:
  pigsty_patroni.accepted:
    - require:
      - pigsty_patroni: pgsql-patroni

# What all members share stands in the DCS; the leader keeps it.
pgsql-dynamic:
  pigsty_dynamic.managed:
    - require:
      - pigsty_patroni: pgsql-patroni
