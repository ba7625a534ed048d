"""Whose turn it is to change machines: a person's command has it alone, reactions share it.

The lock is the kernel's, on one file: it ends with the process that holds it. A person's command
writes into the file who it is, so an empty file that is locked is held by reactions, which take
seconds.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pigsty.errors import PigstyError

#: In /run, so that a reboot leaves none; the kernel drops the lock with its process anyhow.
PATH = Path("/run/pigsty/apply.lock")


class NotNow(PigstyError):
    """A person's command is going on: reactions wait for its end."""


@contextmanager
def shared(path: Path = PATH) -> Iterator[None]:
    """Hold the turn together with other reactions.

    Raises:
        NotNow: a command has it, or the file can't be opened.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise NotNow(f"{path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotNow("a command of a person is going on") from None
        yield
