# Packages that an apply which was killed, or a power cut, has left half installed: before anything else.
node-dpkg:
  pigsty_dpkg.whole:
    - order: 1
