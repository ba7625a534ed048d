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

from pigsty_cli.errors import Refused

#: In /run, so that a reboot leaves none; the kernel drops the lock with its process anyhow.
PATH = Path("/run/pigsty/apply.lock")


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
        raise Refused(f"{path}: {error.strerror}; run this as root on the admin node") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another run is going on: {_holder(path)}") from None
        file.truncate(0)
        since = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        json.dump({"pid": os.getpid(), "user": user(), "since": since, "what": what}, file)
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def user() -> str:
    """Return who runs this: behind sudo, the person and not root."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _holder(path: Path) -> str:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return f"`{data['what']}` by {data['user']} since {data['since']} (pid {data['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has just begun"
