# Grafana with the deployment's dashboards, where a package source has it.
infra-grafana:
  pigsty_grafana.managed: []
