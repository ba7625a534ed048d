"""Which version of our modules is in a folder: the repository's on the master, the synced one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

#: Kinds of modules that minions get. The master's own (pillar, runners, engines) aren't among them.
KINDS = ("beacons", "executors", "grains", "modules", "states", "utils")
_IGNORED = "__pycache__"


def fingerprint(folder: Path, prefix: str = "") -> str:
    """Return a digest of all modules in a folder: equal exactly when names and contents are.

    Args:
        folder: holds a folder for each kind.
        prefix: what stands before each kind's name: ``_`` in the repository, nothing on a minion.
    """
    digest = hashlib.sha256()
    for kind in KINDS:
        for path in sorted(_files(folder / f"{prefix}{kind}")):
            name = path.relative_to(folder / f"{prefix}{kind}")
            content = path.read_bytes()
            digest.update(f"{kind}/{name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def changed(*places: Path) -> float:
    """Return when the newest file of some folders was written.

    Args:
        places: the folders; one that isn't there has no files.

    Returns:
        Seconds since 1970; 0 without files.
    """
    files = (path for place in places for path in _files(place))
    return max((path.stat().st_mtime for path in files), default=0.0)


def _files(folder: Path) -> Iterator[Path]:
    # The core stands among the utils as a link to a folder.
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name != _IGNORED]
        yield from (Path(parent, name) for name in files if not name.endswith(".pyc"))
