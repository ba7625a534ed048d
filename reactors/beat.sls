# The worker tries out whether the way through the bus and the reactor is open.
beat:
  runner.pigsty_react.beat: []
