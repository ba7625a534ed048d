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
from dataclasses import replace

from pigsty import views
from pigsty.clients.store import Snapshot, Source
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError

log = logging.getLogger(__name__)

#: Seconds between two attempts to reach a store that doesn't answer: it grows up to the last.
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)


class Watcher:
    """The watch over one store.

    Args:
        open_source: says what is watched; it is called for every new connection, because the
            inventory may name other members by then. None: nothing, at the moment.
        emit: is told every change, in order.
        followed: says which leader of a cluster was dealt with last, "" for none. Another one leads
            when the watch begins: that happened while nobody watched, and is told.
        clock: monotonic seconds.
        took: is called whenever everything was read.
    """

    def __init__(
        self,
        open_source: Callable[[], Source | None],
        emit: Callable[[views.Change], None],
        followed: Callable[[str], str] = lambda _cluster: "",
        clock: Callable[[], float] = time.monotonic,
        took: Callable[[], None] = lambda: None,
    ) -> None:
        self._open, self._emit, self._clock, self._took = open_source, emit, clock, took
        self._followed = followed
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
                say("the watch was lost: %s; trying again", error)
                stop.wait(pause)

    def session(self, stop: threading.Event) -> None:
        """Read everything, then follow the stream until it is time to read everything again.

        Raises:
            ClientError: the store doesn't answer, or the stream broke off.
        """
        source = self._open()
        if source is None:
            self._known = None
            stop.wait(DEADLINES["dcs.resync"])
            return
        store, prefix = source.store, source.namespace
        snapshot = store.read(prefix)
        self._failures = 0
        self._take(prefix, snapshot)
        end = self._clock() + DEADLINES["dcs.resync"]
        for update in store.watch(prefix, snapshot.revision):
            self._follow(prefix, update.pairs)
            if stop.is_set() or self._clock() >= end:
                return

    def _take(self, prefix: str, snapshot: Snapshot) -> None:
        """Compare everything with what was known, at first with who was followed last."""
        found = views.read(prefix, snapshot.pairs)
        known = self._known
        if known is None:
            known = {
                cluster: replace(view, last=self._followed(cluster) or view.last)
                for cluster, view in found.items()
            }
        # Who led last is remembered over a moment without a leader.
        found = views.remember(known, found)
        self._tell(known, found)
        self._known = found
        self._took()

    def _follow(self, prefix: str, pairs: Iterable[tuple[str, str | None]]) -> None:
        assert self._known is not None
        for key, value in pairs:
            about = views.parse_key(prefix, key)
            if about is None:
                continue
            # One key at a time: a leader that came and went within one update is seen too.
            before = {about.cluster: self._known.get(about.cluster, views.ClusterView())}
            views.update(self._known, prefix, key, value)
            self._tell(before, {about.cluster: self._known[about.cluster]})

    def _tell(self, before: views.Views, after: views.Views) -> None:
        for change in views.changes(before, after):
            self._emit(change)
