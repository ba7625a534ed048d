# An alert fires, or is over.
hint:
  runner.pigsty_react.hint:
    - args:
        tag: {{ tag | tojson }}
        data: {{ data | tojson }}
