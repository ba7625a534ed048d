# What an infra node runs. Its other services come with the monitoring.
include:
  - infra.repo
