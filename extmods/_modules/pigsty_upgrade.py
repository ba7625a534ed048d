"""A minor upgrade of PostgreSQL on this machine: what there is, and having it installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pigsty.render import record

__virtualname__ = "pigsty_upgrade"

#: What PostgreSQL is made of: its own packages, its extensions, and the client's library.
_OURS = re.compile(r"(postgresql-|libpq5\b)")


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def look(refresh: bool = True) -> dict[str, Any]:
    """Return which versions there are (see :class:`pigsty.upgrading.Version`).

    Args:
        refresh: read the sources' lists anew first.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_upgrade.look
    """
    newer = _newer(refresh)
    server = f"postgresql-{__pillar__['pigsty']['pgsql']['params']['pg_version']}"
    installed = str(__salt__["pkg.version"](server) or "")
    return {
        "installed": installed,
        "candidate": newer.get(server, installed),
        "newer": sorted(newer),
        "stale": _stale(),
    }


def install() -> dict[str, Any]:
    """Have the newest packages of PostgreSQL installed; the server that runs goes on meanwhile.

    Returns:
        What :func:`look` says afterwards.

    CLI Example: called by `pigsty pgsql upgrade`.
    """
    __salt__["pigsty_dpkg.await_others"]()
    if __salt__["pigsty_dpkg.half"]():
        __salt__["pigsty_dpkg.finish"]()
    if newer := _newer():
        __salt__["pkg.install"](pkgs=sorted(newer), only_upgrade=True, refresh=False)
    return look(refresh=False)


def _newer(refresh: bool = False) -> dict[str, str]:
    """Return PostgreSQL's packages that have a newer version, and that version."""
    found = __salt__["pkg.list_upgrades"](refresh=refresh, dist_upgrade=False)
    return {name: version for name, version in found.items() if _OURS.match(name)}


def _stale() -> bool:
    """Return whether the server runs from a file that was replaced."""
    own = record.Record.read(__salt__["pigsty_file.read"](record.PATH))
    if own is None:
        return False
    try:
        pid = (Path(own.data) / "postmaster.pid").read_text().split()[0]
        return str(Path(f"/proc/{pid}/exe").readlink()).endswith(" (deleted)")
    except (OSError, IndexError):
        return False
