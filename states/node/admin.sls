# The admin user, with sudo and SSH.
include:
  - node.packages

{%- set admin = pillar['pigsty']['node']['admin'] %}
{%- if admin %}
node-admin-group:
  group.present:
    - name: {{ admin['group'] | tojson }}
    - gid: {{ admin['gid'] }}
    - system: True

node-admin-user:
  user.present:
    - name: {{ admin['name'] | tojson }}
    - uid: {{ admin['uid'] }}
    - gid: {{ admin['gid'] }}
    - home: {{ ('/home/' ~ admin['name']) | tojson }}
    - shell: /bin/bash
    - fullname: Pigsty admin
    - require:
      - group: node-admin-group
{%- endif %}

node-admin-access:
  pigsty_admin.access:
    - require:
      - pkg: node-packages
{%- if admin %}
      - user: node-admin-user
{%- endif %}
