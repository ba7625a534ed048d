"""How far a long function of ours is: it says so here, and the executor of its job sends it on."""

from __future__ import annotations

import logging

from pigsty import telling
from pigsty.stages import Stage

__virtualname__ = "pigsty_work"

log = logging.getLogger(__name__)


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def listen(teller: telling.Teller | None) -> None:
    """Set who is told how far the functions of this thread are; None for nobody.

    CLI Example: called by the executor ``pigsty_progress``.
    """
    telling.listen(teller)


def tell(phase: str, done: int = 0, total: int = 0, detail: str = "") -> None:
    """Say how far this job is. Nobody needs to listen, and no fault of a listener comes back.

    Args:
        phase: what is done now; no secret.
        done: bytes that are done.
        total: bytes that there are, 0 if unknown.
        detail: what else helps a person who waits.

    CLI Example: called by long functions of ours.
    """
    try:
        telling.tell(Stage(phase, done, total, detail))
    except Exception:
        log.warning("nobody can be told of: %s", phase, exc_info=True)
