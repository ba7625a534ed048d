# The member's certificate, the locales that initdb needs, and the files around the daemons.
{% set pgsql = pillar['pigsty']['pgsql'] %}
{% set params = pgsql['params'] %}
include:
  - pgsql.install

pgsql-cert:
  pigsty_cert.present:
    - name: {{ pgsql['certificates'] }}/server.crt
    - key: {{ pgsql['certificates'] }}/server.key
    - ca: {{ pgsql['certificates'] }}/ca.crt
    - role: pgsql
    - user: {{ params['pg_dbsu'] | json }}
    - group: postgres
    - require:
      - pigsty_pgsql: pgsql-layout

{% set wanted = [params['pg_locale'], params['pg_lc_collate'], params['pg_lc_ctype']] %}
{% for locale in wanted | unique if locale not in pgsql['platform']['builtin_locales'] %}
pgsql-locale-{{ locale }}:
  locale.present:
    - name: {{ locale | json }}
    - require:
      - pkg: pgsql-packages
{% endfor %}

pgsql-files:
  pigsty_pgsql.configured:
    - require:
      - pkg: pgsql-packages

pgsql-backup-files:
  pigsty_pgbackrest.configured:
    - require:
      - pkg: pgsql-packages
