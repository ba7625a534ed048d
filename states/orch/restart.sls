# PostgreSQL of a cluster restarts, member after member: the same as `pigsty pgsql restart`.
#   salt-run state.orchestrate orch.restart pillar='{"cluster": "pg-test", "pending": true}'
orch-restart:
  pigsty_orch.restarted:
    - cluster: {{ pillar.get("cluster", "") | tojson }}
    - members: {{ pillar.get("members", []) | tojson }}
    - pending: {{ pillar.get("pending", False) | tojson }}
    - given: {{ pillar | list | tojson }}
