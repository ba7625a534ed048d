# Where this node's packages come from.
node-repo:
  pigsty_repo.sources
