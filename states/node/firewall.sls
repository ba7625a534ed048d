# The packet filter: ours, none, or the operator's.
node-firewall:
  pigsty_firewall.filtered:
    - require:
      - pkg: node-packages
