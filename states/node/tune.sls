# Kernel settings and modules, huge pages, limits, swap.
node-kernel:
  pigsty_kernel.tuned:
    - require:
      - pkg: node-packages
