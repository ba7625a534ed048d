# The inventory was edited, and has errors.
hint:
  runner.pigsty_react.hint:
    - args: {{ salt["pigsty_event.trim"](tag, data) | tojson }}
