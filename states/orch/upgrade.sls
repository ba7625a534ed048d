# Replicas, switchover, old primary: the same as `pigsty pgsql upgrade`.
#   salt-run state.orchestrate orch.upgrade pillar='{"cluster": "pg-test"}' test=True
orch-upgrade:
  pigsty_orch.upgraded:
    - cluster: {{ pillar.get("cluster", "") | tojson }}
    - given: {{ pillar | list | tojson }}
