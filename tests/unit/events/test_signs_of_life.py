"""The worker as a service tells others that it lives, also while there is nothing to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pigsty import metrics, service
from pigsty.errors import ClientError
from pigsty.journal import Journal


class _Silent:
    """Whom nobody answers."""

    def truth(self, kind: str, subject: str) -> Any:
        raise ClientError("etcd doesn't answer")

    def whole(self) -> Any:
        raise ClientError("etcd doesn't answer")

    def turn(self) -> Any:
        raise AssertionError("nothing is due")

    def run(self, step: Any) -> Any:
        raise AssertionError("nothing is due")


def _serve(tmp_path: Path, clock: Callable[[], float], tell: Callable[[float], bool]) -> None:
    """Serve until ``tell`` returns True."""
    stop = threading.Event()

    def told(journal: Journal, now: float) -> None:
        assert journal.tally(now).open == {}
        if tell(now):
            stop.set()

    service.serve(
        lambda: Journal(tmp_path / "journal.db"), _Silent(), _Silent().whole, clock, stop, told
    )


def test_it_tells_that_it_lives_once_for_each_scrape(tmp_path: Path) -> None:
    time = [1000.0]
    moments: list[float] = []

    def clock() -> float:
        time[0] += 1.0
        return time[0]

    def tell(now: float) -> bool:
        moments.append(now)
        return len(moments) == 3

    _serve(tmp_path, clock, tell)
    first, second, third = moments
    assert second - first >= metrics.INTERVAL
    assert third - second >= metrics.INTERVAL
    assert third - first < 3 * metrics.INTERVAL


def test_a_store_that_is_down_keeps_nobody_from_hearing_of_it(tmp_path: Path) -> None:
    time = [1000.0]

    def clock() -> float:
        time[0] += 100.0  # a reconcile is due at almost every look
        return time[0]

    count = iter(range(5))
    _serve(tmp_path, clock, lambda _now: next(count) == 4)
