"""Signs of life of the parts that reactions depend on, each a file that is touched.

A part that hangs or has died looks like one that has nothing to do; its last sign tells them apart.

========= ========================================================================
part      its sign
========= ========================================================================
worker    the worker has looked into the journal
dcs       the whole store was read, which is done once a minute in any case
reactor   an event of ours came through the bus and the reactor to the runner
alerts    the engine that takes alerts waits for them
========= ========================================================================
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

#: In /run, so that a reboot leaves none.
FOLDER = Path("/run/pigsty/alive")
#: Seconds between two events that only show that the way to the runner is open.
BEAT = 30.0


def sign(part: str, folder: Path = FOLDER) -> None:
    """Give a sign of life; a full disk keeps nobody from working."""
    with suppress(OSError):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        (folder / part).touch()


def signs(folder: Path = FOLDER) -> dict[str, float]:
    """Return when each part gave its last sign, seconds since 1970."""
    found = {}
    with suppress(OSError):
        for path in folder.iterdir():
            found[path.name] = path.stat().st_mtime
    return found
