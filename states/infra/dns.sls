# The names of clusters, instances and services. It includes nothing: a change of the leader runs just this.
infra-dns:
  pigsty_dns.served: []
