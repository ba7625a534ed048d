"""Our own modules on this minion: are they the master's?"""

from __future__ import annotations

from pathlib import Path

from pigsty.clients import extmods


def fingerprint():
    """Return a digest of the synced modules, to be compared with the master's.

    CLI Example:

    .. code-block:: bash

        salt '*' pigsty_extmods.fingerprint
    """
    return extmods.fingerprint(Path(__opts__["extension_modules"]))
