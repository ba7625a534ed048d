# The end of a member of etcd, after the cluster has let it go. `pigsty etcd rm` decides whether it may be; the
# host may be out of the inventory, so everything goes by the member's own configuration.
etcd-remove:
  pigsty_etcd.removed: []
