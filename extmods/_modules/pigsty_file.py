"""Files of the machine: read, compare, and replace in one step. The states of Pigsty stand on it.

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

from pigsty.render.files import File, diff

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


def changes(files: Iterable[File]) -> dict[str, Any]:
    """Return what differs between the machine and the files as they shall be, by path.

    Each entry holds ``diff`` (a text) and, where they differ, ``mode``, ``user`` and ``group`` as
    ``{"old": …, "new": …}``; it is empty when nothing differs.

    CLI Example: called by states, with :class:`pigsty.render.files.File` objects.
    """
    found = {file.path: _change(file) for file in files}
    return {path: change for path, change in found.items() if change}


def converge(files: Iterable[File], test: bool = False) -> dict[str, Any]:
    """Make the files as they shall be, read them back, and return what :func:`changes` said before.

    Files are replaced in one step each, so that a crash leaves the old or the new text and no mixture.

    Args:
        files: the files.
        test: only compare.

    Raises:
        CommandExecutionError: a file cannot be written, or differs after it was.

    CLI Example: called by states, with :class:`pigsty.render.files.File` objects.
    """
    wanted = {file.path: file for file in files}
    found = changes(wanted.values())
    if test or not found:
        return found
    for path in found:
        _write(wanted[path])
    left = changes(wanted[path] for path in found)
    if left:
        raise CommandExecutionError(f"written, but still different: {', '.join(sorted(left))}")
    return found


def _change(file: File) -> dict[str, Any]:
    """Return how one file differs, empty when it doesn't."""
    old = read(file.path)
    change: dict[str, Any] = {}
    if old != file.contents:
        change["diff"] = diff(old, file.contents, file.path, secret=file.secret)
    if old is None or file.contents is None:
        return change
    status = os.stat(file.path)
    for key, now, wanted in (
        ("mode", f"{stat.S_IMODE(status.st_mode):04o}", f"{int(file.mode, 8):04o}"),
        ("user", _user(status.st_uid), file.user),
        ("group", _group(status.st_gid), file.group),
    ):
        if now != wanted:
            change[key] = {"old": now, "new": wanted}
    return change


def _write(file: File) -> None:
    """Write or remove one file."""
    path = Path(file.path)
    try:
        if file.contents is None:
            path.unlink(missing_ok=True)
            return
        uid, gid = pwd.getpwnam(file.user).pw_uid, grp.getgrnam(file.group).gr_gid
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, file.contents, int(file.mode, 8), uid, gid)
    except KeyError as err:
        raise CommandExecutionError(f"{path}: no such user or group: {err}") from err
    except OSError as err:
        raise CommandExecutionError(f"cannot write {path}: {err.strerror}") from err


def _replace(path: Path, contents: str, mode: int, uid: int, gid: int) -> None:
    """Put a new file in the place of an old one; its permissions are right before it has its name."""
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
            os.replace(name, path)
        except OSError as err:
            if err.errno != errno.EBUSY:
                raise
            # A file that is a mount point of its own (/etc/hosts in some containers) can't be replaced.
            path.write_bytes(data)
            os.chown(path, uid, gid)
            os.chmod(path, mode)
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
