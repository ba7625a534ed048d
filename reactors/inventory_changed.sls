# The inventory was edited, and is good.
hint:
  runner.pigsty_react.hint:
    - args: {{ salt["pigsty_event.trim"](tag, data) | tojson }}
