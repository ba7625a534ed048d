# The end of a node. `pigsty node rm` decides whether it may be; the host is out of the inventory by then and
# has no pillar, so everything goes by what is found on the machine.
node-remove-daemons:
  pigsty_departure.stopped: []

node-remove-files:
  pigsty_departure.deleted:
    - require:
      - pigsty_departure: node-remove-daemons
