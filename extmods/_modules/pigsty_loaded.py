"""Whether a running daemon has loaded its files, even if the apply that wrote them was cut off.

A daemon doesn't say which files it runs with. So the checksum of what it was last started or
reloaded with is kept under ``/run``; where there is none (after a boot, or a restart by hand), a
process that is younger than its files has read them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

__virtualname__ = "pigsty_loaded"

DIRECTORY = Path("/run/pigsty/loaded")


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def stale(key: str, pid: int, paths: Iterable[str]) -> bool:
    """Tell whether a running daemon works with older files than those that are there now.

    Args:
        key: a name for the daemon, and for what it has loaded.
        pid: its main process.
        paths: the files; one that is missing counts as empty.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_loaded.stale patroni.service 1234 '[/etc/patroni/config.yml]'
    """
    paths = list(paths)
    marker = DIRECTORY / key
    try:
        if marker.read_text("ascii") == _digest(paths):
            return False
    except OSError:
        pass
    return _started(pid) <= max((_written(path) for path in paths), default=0.0)


def mark(key: str, paths: Iterable[str]) -> None:
    """Remember that a daemon has just loaded these files.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_loaded.mark patroni.service '[/etc/patroni/config.yml]'
    """
    DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    (DIRECTORY / key).write_text(_digest(paths), "ascii")


def _digest(paths: Iterable[str]) -> str:
    total = hashlib.sha256()
    for path in paths:
        try:
            contents = Path(path).read_bytes()
        except OSError:
            contents = b""
        total.update(hashlib.sha256(contents).digest())
    return total.hexdigest()


def _written(path: str) -> float:
    """Return when a file got its contents, in seconds since the epoch; 0 if it isn't there."""
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


def _started(pid: int) -> float:
    """Return when a process started, in seconds since the epoch; 0 if it is gone."""
    try:
        # The name in parentheses may hold blanks; start time is the 20th field behind it (proc(5)).
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0.0
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / os.sysconf("SC_CLK_TCK")
