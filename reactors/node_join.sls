# A minion has connected.
hint:
  runner.pigsty_react.hint:
    - args:
        tag: {{ tag | tojson }}
        data: {{ data | tojson }}
