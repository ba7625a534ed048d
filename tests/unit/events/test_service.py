"""The worker as a service: it reconciles soon after the start, and sooner after a failure."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from pigsty import service, topology, views
from pigsty.errors import ClientError
from pigsty.journal import Journal, JournalError
from pigsty.reactions.truth import Step, Truth
from pigsty.returns import HostResult
from pigsty.worker import Worker

ROOT = Path(__file__).resolve().parents[3]
TOPOLOGY = topology.load(ROOT / "pillar/inventory/sandbox.yml")


class World(SimpleNamespace):
    """A store that fails as often as it is told, and a clock that a look moves by a second."""

    failures: int = 0
    time: float = 0.0

    def truth(self, kind: str = "", subject: str = "") -> Truth:
        found = views.read("/pg", [("/pg/pg-test/leader", "pg-test-1")])
        return Truth(TOPOLOGY, found, frozenset(TOPOLOGY.nodes))

    def whole(self) -> Truth:
        self.looks.append(self.time)
        if len(self.looks) <= self.failures:
            raise ClientError("etcd doesn't answer")
        return self.truth()

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    def run(self, step: Step) -> Mapping[str, HostResult]:
        return {host: HostResult(host, "ok") for host in step.hosts}

    def note(self, truth: Truth, ran: Mapping[str, tuple[str, ...]]) -> None:
        """What was run where is of no matter here."""

    def clock(self) -> float:
        return self.time


class Until(threading.Event):
    """Stops after so many seconds of the world's clock; nobody waits in earnest."""

    def __init__(self, world: World, end: float) -> None:
        super().__init__()
        self._world, self._end = world, end

    def wait(self, timeout: float | None = None) -> bool:
        self._world.time += 1.0
        return self._world.time > self._end


def _serve(world: World, path: Path, seconds: float) -> None:
    service.serve(lambda: Journal(path), world, world.whole, world.clock, Until(world, seconds))


def test_it_looks_around_soon_after_the_start_and_then_from_time_to_time(path: Path) -> None:
    world = World(looks=[])
    _serve(world, path, service.FIRST + 2 * service.RECONCILE + 5)
    first, *others = world.looks
    assert first <= service.FIRST + 1
    assert [second - first for second in others] == [service.RECONCILE, 2 * service.RECONCILE]


def test_a_store_that_is_silent_is_asked_again_soon(path: Path) -> None:
    world = World(looks=[], failures=2)
    _serve(world, path, 100)
    first = world.looks[0]
    assert [look - first for look in world.looks] == [0, service.AGAIN, 2 * service.AGAIN]


def test_a_full_disk_of_the_journal_ends_nothing_and_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, turns = World(looks=[]), list[float]()
    take = Worker.turn

    def turn(found: Worker) -> int:
        turns.append(world.time)
        if world.time < 40:
            raise JournalError("the journal can't be written: database or disk is full")
        return take(found)

    monkeypatch.setattr(Worker, "turn", turn)
    _serve(world, path, 100)
    # Not every second, and what a reconcile queues is tried at once.
    assert 2 <= sum(moment < 40 for moment in turns) <= 5
    assert any(moment >= 40 for moment in turns)
    with closing(Journal(path)) as journal:
        assert journal.open() == [] and journal.entries() != []


def test_what_nobody_had_asked_for_is_followed(path: Path) -> None:
    world = World(looks=[])

    class Followed(Until):
        """Time passes for real, a millisecond for a second, until the leader was dealt with."""

        def wait(self, timeout: float | None = None) -> bool:
            threading.Event().wait(0.001)
            with closing(Journal(path)) as journal:
                done = journal.settled("pgsql.leader", "pg-test") is not None
            return done or super().wait(timeout)

    service.serve(lambda: Journal(path), world, world.whole, world.clock, Followed(world, 20_000))
    with closing(Journal(path)) as journal:
        assert journal.settled("pgsql.leader", "pg-test") == "pg-test-1"
        assert journal.entries()[0].hint.sender == "reconcile"
