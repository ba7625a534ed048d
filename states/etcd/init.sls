# A member of etcd, where Patroni keeps who leads.
