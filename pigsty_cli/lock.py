"""One apply at a time on a master, and who it is that runs."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pigsty.deadlines import DeadlineExceeded
from pigsty.turns import PATH
from pigsty_cli import progress
from pigsty_cli.errors import Refused, unwritable


@contextmanager
def held(what: str, path: Path = PATH) -> Iterator[None]:
    """Hold the lock while a run goes on.

    Args:
        what: what runs, as a person would type it.
        path: the lock file.

    Raises:
        Refused: another process holds it; the text says who, since when and what. Or the file can't
            be written.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error
    with file:
        # Reactions to events leave the file empty and take seconds: they are waited for.
        if not _locked(file) and (path.read_text(encoding="utf-8") or not _turn(file)):
            raise Refused(f"another run is going on: {_holder(path)}")
        since = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "user": user(), "since": since, "what": what}
        try:
            file.truncate(0)
            # Past the buffer: what a full disk has refused must not be tried again by the close.
            os.write(file.fileno(), json.dumps(holder).encode())
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            yield
        finally:
            file.truncate(0)


def _locked(file: IO[str]) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _turn(file: IO[str]) -> bool:
    """Take the lock when the reactions that hold it have ended."""
    try:
        progress.wait(lambda: _locked(file), "apply.turn", "reactions to events end")
    except DeadlineExceeded:
        return False
    return True


def user() -> str:
    """Return who runs this: behind sudo, the person and not root."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _holder(path: Path) -> str:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return f"`{data['what']}` by {data['user']} since {data['since']} (pid {data['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has just begun"
