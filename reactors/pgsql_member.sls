# A member of a cluster came, left, or changed its state.
hint:
  runner.pigsty_react.hint:
    - args: {{ salt["pigsty_event.trim"](tag, data) | tojson }}
