"""The core of Pigsty on Salt: pure functions and frozen dataclasses, without any import of Salt.

The same package serves three places: the `pigsty` command, the Salt master (ext_pillar, runners,
engines) and, synced through ``extmods/_utils``, the execution and state modules on the minions.
"""

__version__ = "0.1.0"
