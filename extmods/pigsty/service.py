"""The worker as a service: turns while there is work, reconciles from time to time, tidies up."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from pigsty import drift, worker
from pigsty.errors import PigstyError
from pigsty.journal import Journal, JournalError
from pigsty.metrics import INTERVAL
from pigsty.reactions.truth import Truth
from pigsty.worker import Actor, Worker

log = logging.getLogger(__name__)

#: Seconds between two looks whether another process has written to the journal. A look costs some
#: microseconds.
GLANCE = 0.05
#: Seconds between two reconciles, and after the start: events of the start come first.
RECONCILE, FIRST = 300.0, 5.0
#: Seconds until a reconcile is tried again that a silent store has ended, or a turn that found the
#: journal's disk full.
AGAIN = 15.0
#: Seconds until what is due, but waits for something else, is looked at again in any case.
_PATIENCE = 1.0


def serve(
    journal: Callable[[], Journal],
    actor: Actor,
    whole: Callable[[], Truth],
    clock: Callable[[], float],
    stop: threading.Event,
    tell: Callable[[Journal, float], None] = lambda _journal, _now: None,
) -> None:
    """Carry out reactions until told to stop.

    Args:
        journal: opens the journal.
        actor: reads the truth and runs states.
        whole: reads the truth about all clusters, for the reconcile.
        clock: seconds since 1970.
        stop: ends it; what runs is waited for.
        tell: is called once per scrape, with the journal and the time, so that others see it live.
    """
    own = journal()
    found = Worker(journal, actor, clock)
    version, due, again, news = -1, 0.0, clock() + FIRST, 0.0
    look = clock() + drift.TICK
    try:
        while not stop.wait(GLANCE):
            now = clock()
            seen = own.version()
            if seen != version or now >= due:
                try:
                    found.turn()
                except JournalError as error:
                    log.error("%s; again in %.0f s", error, AGAIN)
                    version, due = seen, now + AGAIN
                    continue
                # What is due but has to wait for another reaction begins when that one is written
                # down, which is a new version.
                version, due = seen, max(own.next_due() or math.inf, now + _PATIENCE)
            if now >= news:
                news = now + INTERVAL
                tell(own, now)
            if now >= again:
                again = now + (RECONCILE if _reconcile(own, whole, now) else AGAIN)
                due = now  # what was queued by this connection is no new version to it
            if now >= look:
                look = now + drift.TICK
                _look_for_drift(own, actor, now)
    finally:
        found.close()
        own.close()


def _look_for_drift(journal: Journal, actor: Actor, now: float) -> None:
    """Queue a look at the machines whose turn it is."""
    try:
        worker.look_for_drift(journal, actor.truth(drift.KIND, ""), now)
    except PigstyError as error:
        log.warning("drift: %s; again in %.0f s", error, drift.TICK)


def _reconcile(journal: Journal, whole: Callable[[], Truth], now: float) -> bool:
    """Queue what events have missed; return whether it could be found out."""
    try:
        count = worker.reconcile(journal, whole(), now)
        journal.prune(now)
    except PigstyError as error:
        log.warning("reconcile: %s; again in %.0f s", error, AGAIN)
        return False
    if count:
        log.info("reconcile: %d reactions queued that no event had asked for", count)
    return True
