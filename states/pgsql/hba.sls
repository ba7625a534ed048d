# Who may connect to PostgreSQL. The rules follow the member's live role, so a change of leader
# needs this state and nothing else: state.apply pgsql.hba.
pgsql-hba:
  pigsty_hba.managed:
    - name: {{ pillar['pigsty']['pgsql']['patroni']['hba_file'] }}
