# A member leads a cluster that didn't before.
hint:
  runner.pigsty_react.hint:
    - args:
        tag: {{ tag | tojson }}
        data: {{ data | tojson }}
