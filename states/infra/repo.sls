# The package repository of the deployment and the web server in front of it. It comes first on the admin
# node: every other node installs from here. Other infra nodes build theirs from the admin node's.
{%- set pigsty = pillar['pigsty'] %}
{%- set infra = pigsty['infra'] %}

include:
  - node.dpkg
{%- if pigsty['meta']['id'] != pigsty['meta']['admin_ip'] %}
  - node.repo
{%- endif %}
{%- if infra['repo']['enabled'] %}

infra-repo:
  pigsty_repo.built:
    - name: {{ infra['repo']['directory'] }}

infra-web-packages:
  pkg.installed:
    - pkgs: {{ infra['nginx']['packages'] | tojson }}
    - install_recommends: False
    - require:
      - pigsty_repo: infra-repo

infra-web-certificate:
  pigsty_cert.present:
    - name: /etc/pki/infra.crt
    - key: /etc/pki/infra.key
    - role: infra
    - ca: {{ infra['nginx']['home'] }}/ca.crt
    - require:
      - pkg: infra-web-packages

infra-web:
  pigsty_repo.served:
    - name: /etc/nginx/conf.d/pigsty.conf
    - require:
      - pigsty_cert: infra-web-certificate
{%- endif %}
