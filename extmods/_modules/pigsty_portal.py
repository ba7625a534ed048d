"""The portal's static files as the master has them, and what is left of older ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from salt.exceptions import CommandExecutionError

__virtualname__ = "pigsty_portal"
#: Where the files stand below the file root.
SOURCE = "infra/portal"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def sources() -> dict[str, str]:
    """Return the text of every static file by its path below the portal's folder.

    Raises:
        CommandExecutionError: the master has none.

    CLI Example: called by the state ``pigsty_portal.managed``.
    """
    found: dict[str, str] = {}
    for cached in __salt__["cp.cache_dir"](f"salt://{SOURCE}"):
        # …/files/<environment>/infra/portal/<path>
        path = cached.rpartition(f"/{SOURCE}/")[2]
        text = __salt__["pigsty_file.read"](cached)
        if text is not None:
            found[path] = text
    if "index.html" not in found:
        raise CommandExecutionError(f"the master has no files in {SOURCE}")
    return found


def stale(folder: str, wanted: Iterable[str]) -> list[str]:
    """Return the files of the portal's folder that no release of now has.

    Args:
        folder: the portal's folder, which is ours alone.
        wanted: paths below it that there shall be.

    CLI Example: called by the state ``pigsty_portal.managed``.
    """
    keep = set(wanted)
    root = Path(folder)
    files = (path for path in sorted(root.rglob("*")) if not path.is_dir())
    return [str(path) for path in files if str(path.relative_to(root)) not in keep]
