"""How far a long function of ours is: it says so here, and the executor of its job sends it on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from pigsty.stages import Stage

__virtualname__ = "pigsty_work"

log = logging.getLogger(__name__)

#: Who listens to the job of this thread: a minion may run several in one process.
_JOB = threading.local()


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def listen(teller: Callable[[dict[str, Any]], None] | None) -> None:
    """Set who is told how far the functions of this thread are.

    Args:
        teller: takes the fields of a :class:`pigsty.stages.Stage`; None for nobody.

    CLI Example: called by the executor ``pigsty_progress``.
    """
    _JOB.teller = teller


def tell(phase: str, done: int = 0, total: int = 0, detail: str = "") -> None:
    """Say how far this job is. Nobody needs to listen, and no fault of a listener comes back.

    Args:
        phase: what is done now; no secret.
        done: bytes that are done.
        total: bytes that there are, 0 if unknown.
        detail: what else helps a person who waits.

    CLI Example: called by long functions of ours.
    """
    teller = getattr(_JOB, "teller", None)
    if teller is None:
        return
    try:
        teller(Stage(phase, done, total, detail).to_dict())
    except Exception:
        log.warning("nobody can be told of: %s", phase, exc_info=True)
