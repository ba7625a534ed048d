# Who the node is, and whom it knows by name.
node-hostname:
  pigsty_node.named: []

node-hosts:
  pigsty_node.hosts: []

node-resolver:
  pigsty_node.resolver: []
