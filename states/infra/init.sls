# What an infra node runs: the packages' repository, the portal, and what watches the deployment.
{%- set infra = pillar['pigsty']['infra'] %}
include:
  - infra.repo
  # The portal's first page says whether there is Grafana.
  - infra.grafana
  - infra.portal
{%- if infra['packages'] %}
  - infra.logs
  - infra.dns

extend:
  infra-logs:
    pigsty_logs:
      - require:
        - pkg: infra-packages
  infra-dns:
    pigsty_dns:
      - require:
        - pkg: infra-packages
{%- endif %}

infra-targets:
  pigsty_monitoring.targets: []
{%- if infra['packages'] %}

infra-dns-configuration:
  pigsty_dns.prepared: []

infra-packages:
  pkg.installed:
    - pkgs: {{ infra['packages'] | tojson }}
    - install_recommends: False
    - require:
      - sls: infra.repo
      - pigsty_dns: infra-dns-configuration

# Prometheus opens etcd and Patroni with a key of its own.
infra-monitoring-certificate:
  pigsty_cert.present:
    - name: /etc/prometheus/infra.crt
    - key: /etc/prometheus/infra.key
    - role: infra
    - user: prometheus
    - group: prometheus
    - require:
      - pkg: infra-packages

infra-monitoring:
  pigsty_monitoring.managed:
    - require:
      - pigsty_cert: infra-monitoring-certificate
      - pigsty_monitoring: infra-targets
{%- endif %}
