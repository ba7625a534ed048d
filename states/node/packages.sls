# The baseline packages, then what depends on nothing but them.
include:
  - node.dpkg
{% set node = pillar['pigsty']['node'] %}
node-rsyslog:
  pigsty_logs.guarded: []

node-packages:
  pkg.installed:
    - pkgs: {{ node['packages'] | tojson }}
    - install_recommends: False
    - require:
      - pigsty_logs: node-rsyslog

node-ca:
  pigsty_node.trusts_ca:
    - require:
      - pkg: node-packages

node-environment:
  pigsty_node.environment: []

{%- if node['node_uv_env'] and node['node_pip_packages'] %}

node-venv:
  virtualenv.managed:
    - name: {{ node['node_uv_env'] | tojson }}
    - venv_bin: /usr/bin/python3
    - pip_pkgs: {{ node['node_pip_packages'].replace(',', ' ').split() | tojson }}
    - require:
      - pkg: node-packages
{%- endif %}
