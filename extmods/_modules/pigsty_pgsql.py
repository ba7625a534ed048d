"""Folders, links and the ballast file of a PostgreSQL member."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.render import pglayout

__virtualname__ = "pigsty_pgsql"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def layout() -> dict[str, Any]:
    """Return what differs between the machine's folders and links and those that shall be.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_pgsql.layout
    """
    spec = __pillar__["pigsty"]["pgsql"]
    changes: dict[str, Any] = __salt__["pigsty_file.changes"](pglayout.folders(spec))
    for path, target in pglayout.links(spec).items():
        old = str(Path(path).readlink()) if Path(path).is_symlink() else None
        if old != target:
            changes[path] = {"old": old, "new": target}
    path, size = pglayout.ballast(spec)
    # It is made with the cluster's folder and never after: who had to delete it in need must not
    # lose the space again to the next apply.
    if size and not Path(path).parent.exists():
        changes[path] = {"old": None, "new": f"{size} bytes"}
    return changes


def make_layout() -> None:
    """Make the folders, links and ballast file.

    Raises:
        CommandExecutionError: something else stands in the place of a link, or a user is missing.

    CLI Example: called by states.
    """
    spec = __pillar__["pigsty"]["pgsql"]
    changes = layout()
    __salt__["pigsty_file.converge"](pglayout.folders(spec))
    path, size = pglayout.ballast(spec)
    try:
        for link, target in pglayout.links(spec).items():
            if link in changes:
                _link(Path(link), target)
        if path in changes:
            with Path(path).open("xb") as ballast:
                os.posix_fallocate(ballast.fileno(), 0, size)
    except OSError as err:
        raise CommandExecutionError(f"cannot make the folders of PostgreSQL: {err}") from err


def _link(path: Path, target: str) -> None:
    if path.exists() and not path.is_symlink():
        raise CommandExecutionError(f"{path} is in the way: it shall be a link to {target}")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
