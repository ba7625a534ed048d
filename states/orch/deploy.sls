# Everything that the inventory says, or some targets: the same as `pigsty apply`.
#   salt-run state.orchestrate orch.deploy
#   salt-run state.orchestrate orch.deploy pillar='{"targets": ["pg-test"]}' test=True
orch-deploy:
  pigsty_orch.deployed:
    - targets: {{ pillar.get("targets", []) | tojson }}
    - given: {{ pillar | list | tojson }}
