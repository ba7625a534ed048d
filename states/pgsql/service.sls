# The cluster's services in this node's HAProxy, which asks every member's Patroni where to go.
{% set services = pillar['pigsty']['pgsql']['services'] %}
pgsql-service:
  pigsty_haproxy.services:
    - prefix: {{ services['prefix'] | json }}
    - files: {{ services['files'] | json }}
