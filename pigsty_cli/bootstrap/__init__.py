"""Prepares an admin node and its minions: key, CA, Salt's configuration, keys and services.

All of it is files below a root folder, so that the same code serves the machine at hand (`pigsty
init`, root ``/``) and a node of the sandbox that has not booted yet (root: its disk).
"""
