"""Files of the machine: read, compare, replace in one step. The states of Pigsty stand on it.

A state that manages many small files through this module costs one state, not one per file.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.render.files import Directory, File, diff

__virtualname__ = "pigsty_file"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def read(path: str) -> str | None:
    """Return a file's text, or None when there is no such file.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_file.read /etc/hostname
    """
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as err:
        raise CommandExecutionError(f"cannot read {path}: {err.strerror}") from err


def changes(wanted: Iterable[File | Directory]) -> dict[str, Any]:
    """Return what differs between the machine and what shall be, by path.

    Each entry holds ``diff`` (a text) or ``directory`` (``created``), and, where they differ,
    ``mode``, ``user`` and ``group`` as ``{"old": …, "new": …}``. It is empty when nothing differs.

    CLI Example: called by states, with objects of :mod:`pigsty.render.files`.
    """
    found = {entry.path: _change(entry) for entry in wanted}
    return {path: change for path, change in found.items() if change}


def converge(wanted: Iterable[File | Directory]) -> dict[str, Any]:
    """Make files and directories as they shall be, and return what :func:`changes` said before.

    A file is replaced in one step, so that a crash leaves the old or the new text and no mixture.

    Raises:
        CommandExecutionError: a file cannot be written, or still differs after it was.

    CLI Example: called by states, with objects of :mod:`pigsty.render.files`.
    """
    entries = {entry.path: entry for entry in wanted}
    found = changes(entries.values())
    for path in found:
        _write(entries[path])
    left = changes(entries[path] for path in found)
    if left:
        raise CommandExecutionError(f"written, but still different: {', '.join(sorted(left))}")
    return found


def _change(entry: File | Directory) -> dict[str, Any]:
    """Return how one file or directory differs, empty when it doesn't."""
    change: dict[str, Any] = {}
    if isinstance(entry, File):
        old = read(entry.path)
        if old != entry.contents:
            change["diff"] = diff(old, entry.contents, entry.path, secret=entry.secret)
        if old is None or entry.contents is None:
            return change
    elif not Path(entry.path).is_dir():
        return {"directory": "created"}
    status = Path(entry.path).stat()
    for key, now, wanted in (
        ("mode", f"{stat.S_IMODE(status.st_mode):04o}", f"{int(entry.mode, 8):04o}"),
        ("user", _user(status.st_uid), entry.user),
        ("group", _group(status.st_gid), entry.group),
    ):
        if now != wanted:
            change[key] = {"old": now, "new": wanted}
    return change


def _write(entry: File | Directory) -> None:
    """Write or remove one file, or make a directory."""
    path = Path(entry.path)
    try:
        if isinstance(entry, File) and entry.contents is None:
            path.unlink(missing_ok=True)
            return
        uid, gid = pwd.getpwnam(entry.user).pw_uid, grp.getgrnam(entry.group).gr_gid
        if isinstance(entry, File):
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, entry.contents or "", int(entry.mode, 8), uid, gid)
            return
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, uid, gid)
        path.chmod(int(entry.mode, 8))
    except KeyError as err:
        raise CommandExecutionError(f"{path}: no such user or group: {err}") from err
    except OSError as err:
        raise CommandExecutionError(f"cannot write {path}: {err.strerror}") from err


def _replace(path: Path, contents: str, mode: int, uid: int, gid: int) -> None:
    """Put a new file in the place of an old one; it has its permissions before it has its name."""
    data = contents.encode("utf-8", errors="surrogateescape")
    # A leading dot and no known suffix: programs that read whole folders skip it.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(data)
            os.fchown(new.fileno(), uid, gid)
            os.fchmod(new.fileno(), mode)
            new.flush()
            os.fsync(new.fileno())
        try:
            Path(name).replace(path)
        except OSError as err:
            if err.errno != errno.EBUSY:
                raise
            # A file that is a mount point (/etc/hosts in some containers) can't be replaced.
            path.write_bytes(data)
            os.chown(path, uid, gid)
            path.chmod(mode)
    finally:
        Path(name).unlink(missing_ok=True)


def _user(uid: int) -> str:
    """Return a user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    """Return a group's name, or the number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
