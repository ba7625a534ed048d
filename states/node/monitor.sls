# What publishes the node's metrics. It comes last: every module has installed its exporters by then.
include:
  - node.packages
  - node.logs

node-monitor:
  pigsty_daemon.exporters_managed:
    - require:
      - pkg: node-packages
