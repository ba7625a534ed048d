# The member tells the master of its own changes: the way that is left when the master's watch of the store is lost.
pgsql-beacon:
  pigsty_beacon.present:
    - source: pigsty_patroni
    - interval: 5
