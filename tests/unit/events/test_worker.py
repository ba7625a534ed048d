"""Reactions are carried out by the truth: in turn for a cluster, side by side for several."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pigsty import react, topology, views, worker
from pigsty.coalescing import REST
from pigsty.errors import ClientError
from pigsty.events import Hint
from pigsty.journal import Journal, JournalError, Reaction
from pigsty.reactions.truth import Decision, Step, Truth
from pigsty.returns import Change, Failure, HostResult
from pigsty.turns import NotNow
from pigsty.worker import Worker

ROOT = Path(__file__).resolve().parents[3]
MINIONS = frozenset(f"10.10.10.{number}" for number in (10, 11, 12, 13))


class World:
    """Who leads, and what was run; a clock that only tests move."""

    def __init__(self) -> None:
        self.topology = topology.load(ROOT / "pillar/inventory/sandbox.yml")
        self.leaders = {"pg-test": "pg-test-2", "pg-meta": "pg-meta-1"}
        self.minions = MINIONS
        self.ran: list[Step] = []
        self.noted: list[Mapping[str, tuple[str, ...]]] = []
        self.results: list[Callable[[Step], Mapping[str, HostResult]]] = []
        self.time = 100.0
        self.down = self.occupied = False
        self.hold: threading.Event | None = None
        self.together = 0

    def truth(self, kind: str, subject: str) -> Truth:
        if self.down:
            raise ClientError("etcd doesn't answer")
        pairs = [(f"/pg/{c}/leader", name) for c, name in self.leaders.items()]
        pairs += [
            (f"/pg/{member.cluster}/members/{member.name}", '{"state": "running"}')
            for member in self.topology.pg_instances.values()
            if member.cluster in self.leaders
        ]
        found = views.read("/pg", pairs)
        return Truth(self.topology, found, self.minions)

    def turn(self) -> AbstractContextManager[None]:
        if self.occupied:
            raise NotNow("a command of a person is going on")
        return nullcontext()

    def run(self, step: Step) -> Mapping[str, HostResult]:
        self.ran.append(step)
        if self.hold:
            self.hold.wait(10)
        if self.results:
            return self.results.pop(0)(step)
        return {host: HostResult(host, "ok") for host in step.hosts}

    def note(self, truth: Truth, ran: Mapping[str, tuple[str, ...]]) -> None:
        self.noted.append(ran)

    def clock(self) -> float:
        return self.time


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def at_work(world: World, tmp_path: Path) -> Iterator[Worker]:
    found = Worker(lambda: Journal(tmp_path / "journal.db"), world, world.clock)
    yield found
    if world.hold:
        world.hold.set()
    found.close()


def leader(cluster: str = "pg-test", name: str = "pg-test-2") -> Hint:
    return Hint("pgsql.leader", cluster, "master", {"leader": name})


def last(journal: Journal) -> Reaction:
    reaction = journal.entries()[-1].reaction
    assert reaction is not None
    return reaction


def settle(found: Worker) -> None:
    found.turn()
    found.drain()


def test_a_change_of_the_leader_is_followed_and_told_in_a_sentence(
    world: World, journal: Journal, at_work: Worker
) -> None:
    changed = Change("pgsql-hba", "pgsql.hba", {"file": "lines"})
    world.results = [
        lambda step: {
            host: HostResult(host, "changed", changed=1, changes=(changed,)) for host in step.hosts
        }
    ]
    journal.note(leader(), 100.0)
    settle(at_work)
    assert {step.hosts for step in world.ran} == {
        ("10.10.10.11", "10.10.10.13"),
        ("10.10.10.12",),
        ("10.10.10.10",),
    }
    done = last(journal)
    assert done.state == "done"
    assert done.outcome.startswith("pg-test-2 leads pg-test; followed on 10.10.10.1")
    assert journal.settled("pgsql.leader", "pg-test") == "pg-test-2"


def test_duplicates_late_and_forged_hints_do_nothing_more(
    world: World, journal: Journal, at_work: Worker
) -> None:
    journal.note(leader(), 100.0)
    settle(at_work)
    ran = len(world.ran)
    world.time = 102.0
    for name in ("pg-test-2", "pg-test-1", "evil"):
        journal.note(Hint("pgsql.leader", "pg-test", "10.10.10.10", {"leader": name}), 101.0)
        settle(at_work)
    assert len(world.ran) == ran
    # They are told with the reaction just before; one that comes later has a line of its own.
    assert (last(journal).hints, last(journal).outcome[:23]) == (4, "pg-test-2 leads pg-test")
    world.time = 110.0
    journal.note(leader(), 110.0)
    settle(at_work)
    assert len(world.ran) == ran
    assert (last(journal).hints, "already" in last(journal).outcome) == (1, True)


def test_a_forged_hint_does_not_keep_a_real_one_from_being_followed(
    world: World, journal: Journal, at_work: Worker
) -> None:
    journal.note(leader(), 100.0)
    settle(at_work)
    ran = len(world.ran)
    forged = Hint("pgsql.leader", "pg-test", "10.10.10.10", {"leader": "pg-test-2"})
    for _ in range(20):
        journal.note(forged, world.time)
        settle(at_work)
    world.leaders["pg-test"] = "pg-test-3"
    world.time += 1.0
    rest = journal.rest("pgsql.leader", "pg-test", world.time)
    assert rest <= REST
    journal.note(leader(name="pg-test-3"), world.time, delay=rest, fired=world.time)
    world.time += rest
    settle(at_work)
    assert len(world.ran) == ran + 3
    assert journal.settled("pgsql.leader", "pg-test") == "pg-test-3"


def test_a_burst_leads_to_one_reaction_by_the_last_state(
    world: World, journal: Journal, at_work: Worker
) -> None:
    for number in range(300):
        journal.note(leader(name=f"pg-test-{number % 3 + 1}"), 100.0)
    world.leaders["pg-test"] = "pg-test-3"
    settle(at_work)
    assert len(world.ran) == 3
    assert journal.settled("pgsql.leader", "pg-test") == "pg-test-3"


def test_clusters_run_side_by_side_and_one_cluster_in_turn(
    world: World, journal: Journal, at_work: Worker
) -> None:
    world.hold = threading.Event()
    journal.note(leader(), 100.0)
    journal.note(leader("pg-meta", "pg-meta-1"), 100.0)
    assert at_work.turn() == 2
    journal.note(leader(), 100.0)
    assert at_work.turn() == 0
    assert not at_work.idle()
    world.hold.set()
    at_work.drain()
    assert at_work.turn() == 1


def test_busy_minions_are_tried_again_later(
    world: World, journal: Journal, at_work: Worker
) -> None:
    def busy(step: Step) -> Mapping[str, HostResult]:
        return {host: HostResult(host, "failed", error="states run there") for host in step.hosts}

    world.results = [busy, busy, busy]
    journal.note(leader(), 100.0)
    settle(at_work)
    assert last(journal).state == "queued"
    assert "states run there" in last(journal).outcome
    settle(at_work)
    assert len(world.ran) == 3, "not before its time"
    world.time += worker.BACK_OFF[0]
    settle(at_work)
    assert last(journal).state == "done"
    assert last(journal).attempts == 2


def test_a_persons_command_is_waited_for_however_long_it_takes(
    world: World, journal: Journal, at_work: Worker
) -> None:
    world.occupied = True
    journal.note(leader(), 100.0)
    for _ in range(20):
        settle(at_work)
        world.time += worker.BACK_OFF[0]
    assert (last(journal).state, world.ran) == ("queued", [])
    world.occupied = False
    settle(at_work)
    assert (last(journal).state, last(journal).attempts) == ("done", 1)


def test_after_the_last_attempt_it_is_given_up_and_nothing_counts_as_settled(
    world: World, journal: Journal, at_work: Worker
) -> None:
    world.down = True
    journal.note(leader(), 100.0)
    for pause in (0.0, *worker.BACK_OFF):
        world.time += pause
        settle(at_work)
    assert last(journal).state == "failed"
    assert last(journal).outcome == "etcd doesn't answer; given up after 6 attempts"
    assert journal.settled("pgsql.leader", "pg-test") is None


def test_a_stage_that_failed_is_the_last_one(
    world: World, journal: Journal, at_work: Worker
) -> None:
    failure = Failure("node-repo", "node.repo", "no network")
    world.results = [
        lambda step: {
            host: HostResult(host, "failed", failed=1, failures=(failure,)) for host in step.hosts
        }
    ]
    journal.note(Hint("node.join", "10.10.10.12", "10.10.10.12", {}), 100.0)
    settle(at_work)
    assert ("infra",) not in {step.sls for step in world.ran}
    assert "failed: node-repo" in last(journal).outcome


def test_what_the_last_process_left_is_carried_out_by_the_next(
    world: World, journal: Journal, tmp_path: Path
) -> None:
    journal.note(leader(), 100.0)
    assert journal.take(100.0)
    successor = Worker(lambda: Journal(tmp_path / "journal.db"), world, world.clock)
    settle(successor)
    successor.close()
    assert last(journal).state == "done"


def test_a_reaction_that_ends_on_a_full_disk_is_taken_up_when_there_is_room(
    world: World, journal: Journal, tmp_path: Path
) -> None:
    full = [False]

    class Cramped(Journal):
        """Takes no end of a reaction while the disk is full."""

        def end(self, *words: Any, **more: Any) -> None:
            self._room()
            super().end(*words, **more)

        def retry(self, *words: Any, **more: Any) -> None:
            self._room()
            super().retry(*words, **more)

        def _room(self) -> None:
            if full[0]:
                raise JournalError("the journal can't be written: database or disk is full")

    found = Worker(lambda: Cramped(tmp_path / "journal.db"), world, world.clock)
    journal.note(leader(), 100.0)
    full[0] = True
    assert found.turn() == 1
    found.drain()
    for _ in range(2):
        with pytest.raises(JournalError, match="disk is full"):
            found.turn()
    assert last(journal).state == "running"
    full[0] = False
    settle(found)
    found.close()
    assert (last(journal).state, last(journal).attempts) == ("done", 2)
    # Nothing was left behind that would keep the next one waiting.
    assert journal.open() == []


def test_reconcile_queues_what_no_event_told(
    world: World, journal: Journal, at_work: Worker
) -> None:
    truth = world.truth("", "")
    for host in MINIONS:
        journal.settle("node.join", host, "applied", 90.0)
    # The leaders and the members of both clusters are news to an empty journal.
    assert worker.reconcile(journal, truth, 100.0) == 4
    assert worker.reconcile(journal, truth, 100.0) == 0, "what is queued isn't queued again"
    for _ in range(4):
        settle(at_work)
    assert worker.reconcile(journal, truth, 101.0) == 0
    world.leaders["pg-test"] = "pg-test-1"
    assert worker.reconcile(journal, world.truth("", ""), 102.0) == 1
    assert {entry.hint.sender for entry in journal.entries()} == {"reconcile"}


def test_reconcile_leaves_alone_whom_nobody_leads(world: World, journal: Journal) -> None:
    world.leaders = {"pg-test": ""}
    for host in MINIONS:
        journal.settle("node.join", host, "applied", 90.0)
    worker.reconcile(journal, world.truth("", ""), 100.0)
    assert [reaction.kind for reaction in journal.open()] == ["pgsql.member"]


def test_reconcile_finds_who_joined_and_was_never_applied(world: World, journal: Journal) -> None:
    world.leaders = {}
    world.minions = frozenset({"10.10.10.11", "10.10.10.12", "10.9.9.9"})
    journal.settle("node.join", "10.10.10.11", "applied", 90.0)
    assert worker.reconcile(journal, world.truth("", ""), 100.0) == 1
    assert [(one.kind, one.subject) for one in journal.open()] == [("node.join", "10.10.10.12")]


def test_before_the_first_apply_reconcile_leaves_nodes_alone(
    world: World, journal: Journal
) -> None:
    world.leaders = {}
    truth = replace(world.truth("", ""), deployed=False)
    assert worker.reconcile(journal, truth, 100.0) == 0


def test_what_ran_well_is_noted_by_host(world: World, journal: Journal, at_work: Worker) -> None:
    journal.note(leader(), 100.0)
    settle(at_work)
    (noted,) = world.noted
    assert noted["10.10.10.11"] == noted["10.10.10.13"] == ("pgsql.hba", "pgsql.pgbouncer")
    assert noted["10.10.10.12"] == ("pgsql.hba", "pgsql.pgbouncer", "pgsql.objects")


def test_stages_of_one_host_are_noted_together(
    world: World, journal: Journal, at_work: Worker
) -> None:
    steps = (Step(("10.10.10.11",), ("node.hosts",)),), (Step(("10.10.10.11",), ("pgsql",)),)
    decision = Decision("an edit", stages=steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(react, "decide", lambda *_: decision)
        journal.note(Hint("inventory.changed", "inventory", "master", {}), 100.0)
        settle(at_work)
    assert world.noted == [{"10.10.10.11": ("node.hosts", "pgsql")}]


def test_what_failed_is_not_noted(world: World, journal: Journal, at_work: Worker) -> None:
    def failed(step: Step) -> Mapping[str, HostResult]:
        return {host: HostResult(host, "failed", error="no") for host in step.hosts}

    world.results = [failed] * 3
    journal.note(leader(), 100.0)
    settle(at_work)
    assert world.noted == [{}]
