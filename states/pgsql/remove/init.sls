# The end of a PostgreSQL member. `pigsty pgsql rm` decides whether it may be, and passes what it decided as
# the pillar's key `pigsty_removal`: a host that was taken out of the inventory has no other pillar.
{% set removal = pillar['pigsty_removal'][opts['id']] %}
pgsql-remove-daemons:
  pigsty_removal.stopped:
    - name: {{ removal['instance'] | json }}
    - last: {{ removal['last'] | json }}

pgsql-remove-files:
  pigsty_removal.deleted:
    - name: {{ removal['instance'] | json }}
    - data: {{ removal['data'] | json }}
    - backups: {{ removal['backups'] | json }}
    - require:
      - pigsty_removal: pgsql-remove-daemons

{% if removal['packages'] %}
pgsql-remove-packages:
  pkg.removed:
    - pkgs: {{ salt['pigsty_removal.packages'](removal['instance']) | json }}
    - require:
      - pigsty_removal: pgsql-remove-files
{% endif %}

pgsql-remove-record:
  pigsty_removal.forgotten:
    - name: {{ removal['instance'] | json }}
    - require:
      - pigsty_removal: pgsql-remove-files
{%- if removal['packages'] %}
      - pkg: pgsql-remove-packages
{%- endif %}
