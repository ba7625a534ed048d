"""SQL objects of a cluster: what the inventory declares, what exists, and the way between."""
