# The logs that nodes send are kept here, and can be searched.
infra-logs:
  pigsty_logs.kept: []
