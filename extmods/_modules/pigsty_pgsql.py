"""Folders, links and the ballast file of a PostgreSQL member."""

from __future__ import annotations

import grp
import os
import pwd
import stat
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
    changes: dict[str, Any] = {}
    for folder in pglayout.folders(spec):
        old, new = _folder(folder.path), f"{folder.user}:{folder.group} {folder.mode}"
        if old != new:
            changes[folder.path] = {"old": old, "new": new}
    for path, target in pglayout.links(spec).items():
        old = str(Path(path).readlink()) if Path(path).is_symlink() else None
        if old != target:
            changes[path] = {"old": old, "new": f"-> {target}"}
    path, size = pglayout.ballast(spec)
    # Somebody who had to delete it must not lose the space again to the next apply: it is made
    # with the folder, and never after.
    if size and spec["directories"]["main"] in changes and not Path(path).exists():
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
    try:
        for folder in pglayout.folders(spec):
            if folder.path in changes:
                _make(folder)
        for path, target in pglayout.links(spec).items():
            if path in changes:
                _link(Path(path), target)
        path, size = pglayout.ballast(spec)
        if path in changes:
            with Path(path).open("xb") as ballast:
                os.posix_fallocate(ballast.fileno(), 0, size)
    except (OSError, KeyError) as err:
        raise CommandExecutionError(f"cannot make the folders of PostgreSQL: {err}") from err


def _folder(path: str) -> str | None:
    """Return owner, group and permissions of a folder, None if it isn't there."""
    try:
        status = Path(path).stat()
        user, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    except FileNotFoundError:
        return None
    except KeyError:
        return "nobody"
    return f"{user}:{group} {stat.S_IMODE(status.st_mode):04o}"


def _make(folder: pglayout.Folder) -> None:
    path = Path(folder.path)
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, pwd.getpwnam(folder.user).pw_uid, grp.getgrnam(folder.group).gr_gid)
    path.chmod(int(folder.mode, 8))


def _link(path: Path, target: str) -> None:
    if path.exists() and not path.is_symlink():
        raise CommandExecutionError(f"{path} is in the way: it shall be a link to {target}")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
