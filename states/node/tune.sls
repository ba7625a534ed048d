# Kernel settings and modules, huge pages, limits, swap.
include:
  - node.packages

node-kernel:
  pigsty_kernel.tuned:
    - require:
      - pkg: node-packages
