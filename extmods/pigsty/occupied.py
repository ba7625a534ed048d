"""Machines on which a reaction runs states now: another reaction waits for its turn there.

Two runs of states at once are refused by a minion. Salt's own queue is no way out: two runs that
wait in it can wait for each other, and one that was killed blocks it for good.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError


class Occupied:
    """The machines that are taken, for the threads of one process.

    Who waits holds nothing meanwhile, so that nobody waits for somebody who waits for him.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, hosts: Iterable[str]) -> Iterator[None]:
        """Have some machines to oneself, all of them or none.

        Args:
            hosts: their ids.

        Raises:
            ClientError: one was taken for so long that it is tried again later.
        """
        wanted = frozenset(hosts)
        with self._changed:
            limit = DEADLINES["react.machine"]
            if not self._changed.wait_for(lambda: not self._taken & wanted, limit):
                names = ", ".join(sorted(self._taken & wanted))
                raise ClientError(f"another reaction runs states on {names} for {limit:g} s")
            self._taken |= wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()
