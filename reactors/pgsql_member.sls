# A member of a cluster came, left, or changed its state.
hint:
  runner.pigsty_react.hint:
    - args:
        tag: {{ tag | tojson }}
        data: {{ data | tojson }}
