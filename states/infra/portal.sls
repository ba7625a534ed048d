# The portal's own pages: the home page, the dashboards, and what they are drawn with.
{%- if pillar['pigsty']['infra']['repo']['enabled'] %}
infra-portal:
  pigsty_portal.managed: []
{%- endif %}
