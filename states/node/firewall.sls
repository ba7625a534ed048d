# The packet filter: ours, none, or the operator's.
include:
  - node.packages

node-firewall:
  pigsty_firewall.filtered:
    - require:
      - pkg: node-packages
