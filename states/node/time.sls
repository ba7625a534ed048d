# Time zone, NTP, and the system's crontab.
include:
  - node.packages

node-clock:
  pigsty_clock.set_up:
    - require:
      - pkg: node-packages

node-crontab:
  pigsty_node.crontab:
    - require:
      - pkg: node-packages
