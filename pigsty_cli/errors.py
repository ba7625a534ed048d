"""Errors of the command line, and how any error is told to a person."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from pigsty.errors import InventoryError, PigstyError
from pigsty_cli import exitcodes

#: Where this command, Salt's master and their programs write on the admin node.
_FOLDERS = ("/etc/pigsty", "/var/lib/pigsty", "/var/cache/salt", "/run", "/tmp")  # noqa: S108
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
#: What a machine refuses that is no defect of ours.
_MACHINE = (*_NO_ROOM, errno.EROFS, errno.EIO)
#: Bytes below which a disk counts as full.
_LITTLE = 2**20


class CliError(PigstyError):
    """A command can't go on.

    Args:
        message: what is wrong and what would be right; one line if possible.
        exit_code: one of :mod:`pigsty_cli.exitcodes`.
    """

    def __init__(self, message: str, exit_code: int = exitcodes.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(CliError):
    """Wrong arguments, or a file that isn't there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exitcodes.USAGE)


class Refused(CliError):
    """Nothing was changed: a safeguard, or a requirement that isn't met."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exitcodes.REFUSED)


class Partial(CliError):
    """It worked on some targets and failed on others."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exitcodes.PARTIAL)


def exit_code(error: PigstyError) -> int:
    """Return the exit code of an error: its own ``exit_code``, else 1."""
    return int(getattr(error, "exit_code", exitcodes.FAILED))


def describe(error: PigstyError) -> str:
    """Return the text of an error for standard error, with its place and hint if it has them."""
    if not isinstance(error, InventoryError):
        return str(error)
    where = f"line {error.line}: " if error.line else ""
    path = f"{error.path}: " if error.path else ""
    hint = f" → {error.hint}" if error.hint else ""
    return f"{where}{path}{error.message}{hint}"


def unwritable(path: Path, error: OSError) -> Refused:
    """Return the error that tells that a file of ours can't be written, and what would be right."""
    machine = of_machine(error)
    return Refused(f"{path}: {machine or f'{error.strerror}; run this as root on the admin node'}")


def of_machine(error: OSError, folders: Sequence[str] = _FOLDERS) -> str:
    """Return the text of an error that lies with this machine; "" if it lies elsewhere.

    Args:
        error: what went wrong.
        folders: where a disk may be full.
    """
    if error.errno not in _MACHINE:
        return ""
    full = full_disks(folders) if error.errno in _NO_ROOM else ""
    where = f" (full: {full})" if full else ""
    advice = "; make room, then the same command again" if error.errno in _NO_ROOM else ""
    return f"{error.strerror}{where}{advice}"


def full_disks(folders: Sequence[str] = _FOLDERS) -> str:
    """Return which folders lie on a disk of this machine that is full, in words; "" for none."""
    return ", ".join(sorted(filter(_full, folders)))


def _full(folder: str) -> bool:
    """Whether nothing more can be written below a folder."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    files = found.f_files > 0 and found.f_favail == 0
    return files or found.f_bavail * found.f_frsize < _LITTLE
