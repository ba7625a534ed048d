# The account, the folders and the packages. The account comes first, so that it has our number and
# not the one that a package draws; so does the file that keeps Debian from making a cluster.
{% set pgsql = pillar['pigsty']['pgsql'] %}
{% set params = pgsql['params'] %}
pgsql-user:
  group.present:
    - name: postgres
    - gid: {{ params['pg_dbsu_uid'] }}
    - system: True
  user.present:
    - name: {{ params['pg_dbsu'] | json }}
    - uid: {{ params['pg_dbsu_uid'] }}
    - gid: postgres
    - home: {{ params['pg_dbsu_home'] | json }}
    - shell: /bin/bash
    - system: True
    - fullname: PostgreSQL
    - require:
      - group: pgsql-user

pgsql-layout:
  pigsty_pgsql.prepared:
    - require:
      - user: pgsql-user

pgsql-packages:
  pkg.installed:
    - pkgs: {{ pgsql['packages'] | json }}
    - install_recommends: False
    - require:
      - pigsty_pgsql: pgsql-layout
