# A member of etcd, where Patroni keeps who leads.
{%- set etcd = pillar['pigsty']['etcd'] %}

etcd-guard:
  pigsty_etcd.guarded:
    - name: /etc/systemd/system/etcd.service.d/pigsty.conf

etcd-packages:
  pkg.installed:
    - pkgs: {{ etcd['packages'] | tojson }}
    - install_recommends: False
    - require:
      - pigsty_etcd: etcd-guard

etcd-certificate:
  pigsty_cert.present:
    - name: /etc/etcd/server.crt
    - key: /etc/etcd/server.key
    - ca: /etc/etcd/ca.crt
    - role: etcd
    - user: {{ etcd['platform']['user'] }}
    - group: {{ etcd['platform']['user'] }}
    - require:
      - pkg: etcd-packages

# It reads a renewed certificate by itself, with the next connection.
etcd-member:
  pigsty_etcd.member:
    - name: {{ etcd['platform']['unit'] }}
    - require:
      - pigsty_cert: etcd-certificate

etcd-users:
  pigsty_etcd.auth:
    - require:
      - pigsty_etcd: etcd-member
