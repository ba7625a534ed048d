"""Watch the clusters of a store and tell every change once, whatever happens to the connection.

A watch is begun at the revision of a full read, so nothing falls between the two. From time to time
(``dcs.resync``), and whenever the connection ends or the store has forgotten revisions, everything
is read anew and compared with what was known: a change that the stream missed comes to light then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from pigsty import views
from pigsty.clients.store import Snapshot, Store
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError

log = logging.getLogger(__name__)

#: Seconds between two attempts to reach a store that doesn't answer: it grows up to the last.
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)


class Watcher:
    """The watch over one namespace of one store.

    Args:
        open_store: makes a client of the store; it is called for every new connection, because the
            inventory may name other members by then.
        namespace: Patroni's, for example ``/pg/``.
        emit: is told every change, in order.
        clock: monotonic seconds.
        took: is called whenever everything was read.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        namespace: str,
        emit: Callable[[views.Change], None],
        clock: Callable[[], float] = time.monotonic,
        took: Callable[[], None] = lambda: None,
    ) -> None:
        self._open, self._emit, self._clock, self._took = open_store, emit, clock, took
        self._prefix = f"/{namespace.strip('/')}/"
        self._known: dict[str, views.ClusterView] | None = None
        self._failures = 0

    def run(self, stop: threading.Event) -> None:
        """Watch until told to stop; a store that is down is waited for."""
        while not stop.is_set():
            try:
                self.session(stop)
            except ClientError as error:
                pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
                self._failures += 1
                # Said once for each time that it goes away, not at every attempt.
                say = log.warning if self._failures == 1 else log.debug
                say("watch of %s: %s; trying again", self._prefix, error)
                stop.wait(pause)

    def session(self, stop: threading.Event) -> None:
        """Read everything, then follow the stream until it is time to read everything again.

        Raises:
            ClientError: the store doesn't answer, or the stream broke off.
        """
        store = self._open()
        snapshot = store.read(self._prefix)
        self._failures = 0
        self._take(snapshot)
        end = self._clock() + DEADLINES["dcs.resync"]
        for update in store.watch(self._prefix, snapshot.revision):
            self._follow(update.pairs)
            if stop.is_set() or self._clock() >= end:
                return

    def _take(self, snapshot: Snapshot) -> None:
        """Compare everything with what was known. At first nothing is: that is no change."""
        found = views.read(self._prefix, snapshot.pairs)
        if self._known is not None:
            # Who led last is remembered over a moment without a leader.
            found = views.remember(self._known, found)
            self._tell(self._known, found)
        self._known = found
        self._took()

    def _follow(self, pairs: Iterable[tuple[str, str | None]]) -> None:
        assert self._known is not None
        for key, value in pairs:
            about = views.parse_key(self._prefix, key)
            if about is None:
                continue
            # One key at a time: a leader that came and went within one update is seen too.
            before = {about.cluster: self._known.get(about.cluster, views.ClusterView())}
            views.update(self._known, self._prefix, key, value)
            self._tell(before, {about.cluster: self._known[about.cluster]})

    def _tell(self, before: views.Views, after: views.Views) -> None:
        for change in views.changes(before, after):
            self._emit(change)
