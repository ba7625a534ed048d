"""Keep a copy of the journal in a database, in a thread of its own: reactions never wait for it.

How far the copy is, the copy itself says. So a failover that lost its last moment, a database that
was restored, another one that is declared: what is missing is written again, and nothing has to be
remembered here.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Protocol

from pigsty import archive
from pigsty.archive import Batch
from pigsty.errors import PigstyError
from pigsty.journal import Journal, JournalError

log = logging.getLogger(__name__)

#: Seconds between two looks whether the journal has something new; a look costs microseconds.
GLANCE = 1.0
#: Seconds between two sessions, so that a burst is one or two.
REST = 5.0
#: Seconds until the next try after the first, second … failure, and after all others.
BACK_OFF = (5.0, 10.0, 20.0, 40.0, 60.0)


class Session(Protocol):
    """A connection to the database of the copy, with the table there."""

    def revision(self, journal: str) -> int:
        """Return the highest revision that is there of a journal; 0 for none."""

    def write(self, journal: str, batch: Batch) -> None:
        """Write a batch, all of it or nothing; what is there already is replaced."""


class Copy(Protocol):
    """Where the copy is."""

    def session(self) -> AbstractContextManager[Session]:
        """Open it.

        Raises:
            ClientError: no server takes writes, or it refuses; the text says why.
        """


class Archiver:
    """Copies what has ended.

    Args:
        journal: opens the journal.
        find: returns the copy that the inventory declares now, None for none; may raise
            :class:`PigstyError`.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        journal: Callable[[], Journal],
        find: Callable[[], Copy | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._find, self._clock = journal, find, clock
        self._done: int | None = None
        self._next = 0.0
        self._failures = 0
        self._since: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Look from time to time until told to stop."""
        while not stop.wait(GLANCE):
            try:
                with closing(self._open()) as journal:
                    while not stop.wait(GLANCE):
                        self.look(journal)
            except JournalError as error:
                self._failed(self._clock(), str(error))

    def look(self, journal: Journal) -> None:
        """Copy what is new, if there is anything and it is time."""
        now = self._clock()
        if now < self._next:
            return
        try:
            seen = journal.revision()
            if seen == self._done:
                return
            copy = self._find()
            written = 0 if copy is None else _bring(journal, copy)
        except (PigstyError, sqlite3.Error, ValueError) as error:
            self._failed(now, str(error))
            return
        # What is written down meanwhile is a higher revision than the one that was seen.
        self._done, self._next = seen, now + REST
        if self._failures:
            log.warning("the journal's copy in PostgreSQL: goes on, %d lines caught up", written)
        self._failures, self._since = 0, None

    def behind(self) -> float:
        """Return for how many seconds the copy has failed to be brought up to date; 0: it is."""
        since = self._since
        return 0.0 if since is None else self._clock() - since

    def _failed(self, now: float, why: str) -> None:
        """Come back later; tell of a failure once, however often it comes."""
        pause = BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
        if not self._failures:
            self._since = now
            log.warning("the journal's copy in PostgreSQL: %s; tried again until it works", why)
        self._failures += 1
        self._next = now + pause


def _bring(journal: Journal, copy: Copy) -> int:
    """Write all that a copy lacks; return how many lines that were."""
    lines = 0
    with copy.session() as session:
        known = session.revision(journal.name())
        if known > journal.revision():
            # An older file was put back in the journal's place: its next revisions are others.
            journal.rename()
            known = 0
        while (batch := archive.batch(journal, known)).revision is not None:
            session.write(journal.name(), batch)
            lines += len(batch.rows)
            known = batch.revision
    return lines
