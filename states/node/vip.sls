# keepalived with the node's floating address, where it has one.
include:
  - node.packages

node-vip:
  pigsty_vip.floating:
    - require:
      - pkg: node-packages
