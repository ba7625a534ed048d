"""Follow the git repository that the inventory comes from, where the inventory says so.

What was pulled is an edit like any other: the file is another one, so it is judged, told and
applied as if somebody had written it here (:mod:`pigsty.editing`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pigsty import kept
from pigsty.automatic import Automatic
from pigsty.errors import ClientError, PillarError

log = logging.getLogger(__name__)

#: Kind of the journal's fact: why the last pull failed, "" when it went well.
KIND = "inventory.pull"
#: Seconds between two looks whether it is time.
GLANCE = 1.0


class Pulling:
    """Pulls one file's work tree from time to time.

    Args:
        file: the inventory.
        good: the last good one: while the file has errors, its interval counts.
        pull: brings the work tree forward.
        tell: takes why a pull failed, or "" when the first one after that goes well.
        said: what was told last.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        file: Path,
        good: Path,
        pull: Callable[[Path], bool],
        tell: Callable[[str], None],
        said: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file, self._good, self._pull = file, good, pull
        self._tell, self._said, self._clock = tell, said, clock
        self._last: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Look from time to time until told to stop."""
        while not stop.wait(GLANCE):
            self.look()

    def look(self) -> None:
        """Pull, if it is time; tell of a failure once, however often it comes."""
        interval = self._interval()
        now = self._clock()
        if not interval or (self._last is not None and now - self._last < interval):
            return
        self._last = now
        try:
            if self._pull(self._file):
                log.info("the inventory was pulled")
            failed = ""
        except ClientError as error:
            failed = str(error)
            log.error("the inventory isn't pulled: %s", failed)
        if failed != self._said:
            self._said = failed
            self._tell(failed)

    def _interval(self) -> int:
        """Return how many seconds lie between two pulls; 0 for none at all."""
        try:
            inventory = kept.serving(self._file, self._good).topology.inventory
        except PillarError:
            return 0
        return Automatic.of(inventory).pull
