# HAProxy: the package's own unit with a drop-in, the admin page, and the inventory's services.
# PostgreSQL's services are added by states/pgsql, through pigsty_haproxy.services.
include:
  - node.packages

haproxy-service:
  pigsty_haproxy.managed:
    - require:
      - pkg: node-packages
      - pigsty_node: node-ca
