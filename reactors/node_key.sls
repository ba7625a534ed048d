# A minion showed a key that the master did not take.
hint:
  runner.pigsty_react.hint:
    - args: {{ salt["pigsty_event.trim"](tag, data) | tojson }}
