# A node: what every machine of the deployment gets, whatever else runs on it.
include:
  - node.hosts
  - node.repo
  - node.packages
  - node.tune
  - node.admin
  - node.time
  - node.firewall
  - node.haproxy
  - node.vip

node-left-out:
  pigsty_node.left_out:
    - order: last
