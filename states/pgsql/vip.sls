# The address that goes where the cluster's leader is: vip-manager, where the cluster has one.
pgsql-vip:
  pigsty_vip.leader: []
