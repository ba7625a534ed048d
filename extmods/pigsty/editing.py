"""Notice that the inventory was edited, judge it, and keep the last good one.

An editor writes a file in several steps, or puts another one in its place, which is gone for a
moment. So a file is judged when it has stayed the same for a while. One that has errors changes
nothing: what was good before goes on being served (:func:`pigsty.kept.serving`).
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pigsty import events, topology, touched, validate
from pigsty.deadlines import DEADLINES
from pigsty.errors import PigstyError, PillarError
from pigsty.kept import Kept, KeptError
from pigsty.topology import Topology

log = logging.getLogger(__name__)

#: Seconds between two looks at the file: a look costs some microseconds.
GLANCE = 0.2

Signature = tuple[int, int, int] | None
Emit = Callable[[str, Mapping[str, Any]], None]


class Editing:
    """Follows one file.

    Args:
        file: the inventory.
        kept: keeps the last good one.
        emit: takes an event's tag and data.
        clock: monotonic seconds.
    """

    def __init__(
        self, file: Path, kept: Kept, emit: Emit, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file, self._kept, self._emit, self._clock = file, kept, emit, clock
        self._seen: Signature = None
        self._since: float | None = clock()
        self._judged: str | None = None
        self._good: Topology | None = None
        self._first = True

    def run(self, stop: threading.Event) -> None:
        """Look from time to time until told to stop."""
        while not stop.wait(GLANCE):
            self.look()

    def look(self) -> None:
        """Look once; judge the file when it has stayed the same for long enough."""
        signature, now = _signature(self._file), self._clock()
        if signature != self._seen:
            self._seen, self._since = signature, now
        if self._since is None or now - self._since < DEADLINES["inventory.settles"]:
            return
        self._since = None
        self._judge()

    def _judge(self) -> None:
        try:
            text: bytes | None = self._file.read_bytes()
        except OSError:
            text = None
        checksum = hashlib.sha256(text).hexdigest() if text is not None else ""
        if checksum == self._judged:
            return
        try:
            found = validate.usable(self._file)
        except PillarError as error:
            self._judged = checksum
            errors = sum(one.severity == "error" for one in validate.validate(self._file))
            log.error("%s; the last good one goes on being used", error)
            self._emit(events.tag("inventory.bad"), {"checksum": checksum, "errors": errors})
            self._first = False
            return
        if found.inventory.checksum != checksum or text is None:
            self._since = self._clock()  # it was edited in this moment
            return
        before, self._good = self._good or self._kept_one(), found
        try:
            self._kept.keep_good(text)
        except KeptError as error:
            log.error("the good inventory couldn't be kept: %s", error)
        self._judged = checksum
        # What was edited while nobody looked is found by the reconcile.
        if not self._first:
            told = touched.between(before, found).to_dict() if before else {}
            self._emit(events.tag("inventory.changed"), {"checksum": checksum, **told})
        self._first = False

    def _kept_one(self) -> Topology | None:
        """Return the last good inventory of a time before this process, if it can be read."""
        try:
            return topology.load(self._kept.good)
        except (OSError, PigstyError):
            return None


def _signature(file: Path) -> Signature:
    """Return what is another one after an edit; None for a file that isn't there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
