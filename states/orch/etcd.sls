# Members of etcd come, then some go, and everybody who uses it is told: `pigsty etcd add|rm`.
#   salt-run state.orchestrate orch.etcd test=True
#   salt-run state.orchestrate orch.etcd pillar='{"leave": ["etcd-3"]}'
orch-etcd-add:
  pigsty_orch.etcd_grown:
    - members: {{ pillar.get("members", []) | tojson }}
    - given: {{ pillar | list | tojson }}

orch-etcd-rm:
  pigsty_orch.etcd_shrunk:
    - members: {{ pillar.get("leave", []) | tojson }}
    - dead: {{ pillar.get("dead", False) | tojson }}
    - require: [{pigsty_orch: orch-etcd-add}]
