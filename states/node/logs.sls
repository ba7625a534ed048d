# The node's logs go to the infra nodes. It comes after the modules, whose programs write them.
include:
  - node.packages
{%- if pillar['pigsty']['node']['logs']['infra'] %}

# Who sends is known by this certificate. The key is read at every new connection.
node-certificate:
  pigsty_cert.present:
    - name: /etc/pki/node.crt
    - key: /etc/pki/node.key
    - role: node
    - user: systemd-journal-remote
    - group: systemd-journal-remote
    - require:
      - pkg: node-packages
    - require_in:
      - pigsty_logs: node-logs
{%- endif %}

node-logs:
  pigsty_logs.sent:
    - require:
      - pkg: node-packages
