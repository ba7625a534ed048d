# The key of a minion was deleted.
hint:
  runner.pigsty_react.hint:
    - args: {{ salt["pigsty_event.trim"](tag, data) | tojson }}
