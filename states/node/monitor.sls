# What publishes the node's metrics. It comes last: every module has installed its exporters by then.
include:
  - node.packages
  - node.logs
{%- if pillar['pigsty']['node']['monitor']['tls'] %}

# Exporters read it at every connection, the database's superuser by the group.
node-monitor-certificate:
  pigsty_cert.present:
    - name: /etc/prometheus/node.crt
    - key: /etc/prometheus/node.key
    - role: node
    - user: prometheus
    - group: prometheus
    - key_mode: '0640'
    - require:
      - pkg: node-packages
    - require_in:
      - pigsty_daemon: node-monitor
{%- endif %}

node-monitor:
  pigsty_daemon.exporters_managed:
    - require:
      - pkg: node-packages
