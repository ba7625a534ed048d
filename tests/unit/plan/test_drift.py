"""Machines are looked at one after the other; what differs is told, and set right where allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from editions import ADMIN, ALL, FIRST, SECOND, THIRD, edited

from pigsty import drift, worker
from pigsty.drift import Reading
from pigsty.events import Hint
from pigsty.journal import Journal, Reaction
from pigsty.plan import HostPlan, Plan
from pigsty.reactions.truth import HIGHSTATE, Step, Truth
from pigsty.returns import Change, Failure, HostResult
from pigsty.worker import Worker

DAY = 86400.0
HOSTS = tuple(f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000))
HBA = Change("pgsql-hba", "pgsql.hba", None)
CLOCK = Change("node-clock", "node.time", None)


# -- whose turn it is ----------------------------------------------------------------------------


def looked_at(hosts: tuple[str, ...], begin: float, seconds: float, interval: float) -> list[float]:
    """Let a scheduler run; return when it looked, each host being looked at once in a while."""
    last, moments = dict.fromkeys(hosts, begin), []
    now = begin
    while now < begin + seconds:
        now += drift.TICK
        for host in drift.due(hosts, last, now, interval):
            last[host] = now
            moments.append(now)
    return moments


def test_every_host_has_its_turn_once_in_an_interval() -> None:
    assert len(looked_at(ALL, 1e9, DAY, DAY)) == len(ALL)
    assert len(looked_at(ALL, 1e9, 3 * DAY, DAY)) == 3 * len(ALL)


def test_a_thousand_hosts_are_spread_over_the_day() -> None:
    moments = looked_at(HOSTS, 1e9, DAY, DAY)
    assert len(moments) == len(HOSTS)
    assert max(moments.count(moment) for moment in set(moments)) <= 2


def test_after_a_long_stop_they_are_spread_too() -> None:
    last = dict.fromkeys(HOSTS, 1e9)
    assert 1 <= len(drift.due(HOSTS, last, 1e9 + 9 * DAY, DAY)) <= 3


def test_whoever_waits_longest_comes_first() -> None:
    last = {FIRST: 3.0, SECOND: 1.0, THIRD: 2.0}
    assert drift.due((FIRST, SECOND, THIRD), last, 9 * DAY, DAY) == (SECOND,)


def test_never_means_never_and_who_was_never_applied_is_left_alone() -> None:
    assert drift.due(ALL, dict.fromkeys(ALL, 0.0), 9 * DAY, 0) == ()
    assert drift.due(ALL, {}, 9 * DAY, DAY) == ()


# -- what was found ------------------------------------------------------------------------------


def test_a_reading_is_a_fact_and_back() -> None:
    failed = Failure("pgsql-patroni", "pgsql.patroni", "it is dead")
    result = HostResult(FIRST, "failed", changes=(HBA, CLOCK), failures=(failed,))
    reading = Reading.result(result, 5.0)
    assert Reading.of(reading.fact()) == reading
    assert [name for name, _sls in reading.states] == ["pgsql-hba", "node-clock", "pgsql-patroni"]


@pytest.mark.parametrize(
    ("states", "text"),
    [
        ((), "is as it was applied"),
        ((("a", "node"),), "has drifted: a state differs: a"),
        (tuple((f"s{n}", "node") for n in range(8)),
         "has drifted: 8 states differ: s0, s1, s2, s3, s4, s5 and 2 more"),
    ],
)  # fmt: skip
def test_it_is_told_in_a_sentence(states: tuple[tuple[str, str], ...], text: str) -> None:
    assert drift.sentence(Reading(1.0, states)) == text


@pytest.mark.parametrize(
    ("modules", "states"),
    [
        ((), ()),
        (("etcd",), ()),
        (("node",), ("node", "node.monitor")),
        (("node", "pgsql", "infra"), ("node", "pgsql", "node.monitor")),
        (("nonsense",), ()),
    ],
)
def test_only_modules_that_may_are_set_right(
    modules: tuple[str, ...], states: tuple[str, ...]
) -> None:
    reading = Reading(1.0, (("pgsql-hba", "pgsql.hba"), ("node-clock", "node.time")))
    assert drift.healing(reading, modules) == states


@pytest.mark.parametrize("answer", [None, "'pigsty_drift.check' is not available.", False])
def test_an_answer_that_is_none_is_an_error(answer: Any) -> None:
    assert drift.parse(FIRST, answer).error


def test_an_answer_of_the_minion() -> None:
    said = {"states": [["pgsql-hba", "pgsql.hba"]], "error": ""}
    assert drift.parse(FIRST, said).changes == (HBA,)
    assert drift.parse(FIRST, {"states": [], "error": "no pillar"}).error == "no pillar"
    assert drift.parse(FIRST, {"states": [], "error": ""}).status == "ok"


# -- the reaction --------------------------------------------------------------------------------


class World:
    """Minions that differ, and a clock."""

    def __init__(self) -> None:
        self.minions, self.heal, self.time = frozenset(ALL), "[]", 200.0
        self.found: dict[str, HostResult] = {}
        self.ran: list[Step] = []
        self.noted: list[Mapping[str, tuple[str, ...]]] = []
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self.change: Plan | None = None

    def truth(self, kind: str, subject: str) -> Truth:
        basis = edited(lambda d: d["all"]["vars"].update(pigsty_self_heal=self.heal.split()))
        return Truth(basis.topology, {}, self.minions, change=self.change)

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    def run(self, step: Step) -> Mapping[str, HostResult]:
        self.ran.append(step)
        ok = {host: HostResult(host, "ok") for host in step.hosts}
        return {host: self.found.get(host, ok[host]) for host in step.hosts} if step.audit else ok

    def note(self, truth: Truth, ran: Mapping[str, tuple[str, ...]]) -> None:
        self.noted.append(ran)

    def tell(self, kind: str, host: str, data: Mapping[str, Any]) -> None:
        self.told.append((kind, host, data))

    def clock(self) -> float:
        return self.time


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def at_work(world: World, tmp_path: Path) -> Iterator[Worker]:
    found = Worker(lambda: Journal(tmp_path / "journal.db"), world, world.clock)
    yield found
    found.close()


def look(journal: Journal, at_work: Worker, host: str = FIRST) -> Reaction:
    journal.note(Hint(drift.KIND, host, "person", {}), 100.0)
    at_work.turn()
    at_work.drain()
    reaction = journal.entries()[-1].reaction
    assert reaction is not None
    return reaction


def test_a_machine_that_is_right_is_told_as_such(
    world: World, journal: Journal, at_work: Worker
) -> None:
    done = look(journal, at_work)
    assert (done.state, done.outcome) == ("done", "pg-test-1 is as it was applied")
    assert world.ran == [Step((FIRST,), HIGHSTATE, audit=True)]
    assert drift.readings(journal) == {FIRST: Reading(200.0)}
    assert world.told == [("drift", FIRST, {"id": FIRST, "states": 0})]


def test_a_look_is_no_apply(world: World, journal: Journal, at_work: Worker) -> None:
    look(journal, at_work)
    assert world.noted == [{}]


def test_what_has_drifted_is_told_and_nothing_is_done(
    world: World, journal: Journal, at_work: Worker
) -> None:
    world.found = {FIRST: HostResult(FIRST, "changed", changed=2, changes=(HBA, CLOCK))}
    done = look(journal, at_work)
    assert done.outcome == "pg-test-1 has drifted: 2 states differ: pgsql-hba, node-clock"
    assert len(world.ran) == 1
    assert world.told[0][2]["states"] == 2
    assert len(drift.readings(journal)[FIRST].states) == 2


def test_what_may_heal_itself_is_applied_and_the_rest_stays_told(
    world: World, journal: Journal, at_work: Worker
) -> None:
    world.heal = "node"
    world.found = {FIRST: HostResult(FIRST, "changed", changed=2, changes=(HBA, CLOCK))}
    done = look(journal, at_work)
    assert world.ran[1:] == [Step((FIRST,), ("node", "node.monitor"))]
    assert "; applied node node.monitor" in done.outcome
    assert drift.readings(journal)[FIRST].states == (("pgsql-hba", "pgsql.hba"),)


def test_an_edit_that_waits_for_a_person_is_not_carried_out_by_healing(
    world: World, journal: Journal, at_work: Worker
) -> None:
    world.heal = "node pgsql"
    world.found = {FIRST: HostResult(FIRST, "changed", changed=1, changes=(CLOCK,))}
    world.change = Plan("b", (HostPlan(FIRST, "pg-test-1", ("node",)),))
    done = look(journal, at_work)
    assert [step.audit for step in world.ran] == [True], "nothing but the look"
    assert done.state == "done" and "an edit that isn't applied touches it" in done.outcome
    assert drift.readings(journal)[FIRST].states == (("node-clock", "node.time"),)
    # Somebody else's edit is no reason, nor one that is applied by then.
    world.change = Plan("b", (HostPlan("10.10.10.12", "pg-test-2", ("node",)),))
    assert "; applied node" in look(journal, at_work).outcome
    assert drift.readings(journal)[FIRST].states == ()


def test_a_machine_that_cannot_be_looked_at_keeps_its_last_reading(
    world: World, journal: Journal, at_work: Worker
) -> None:
    world.found = {FIRST: HostResult(FIRST, "changed", changed=1, changes=(HBA,))}
    look(journal, at_work)
    world.found, world.time = {FIRST: drift.parse(FIRST, None)}, 300.0
    done = look(journal, at_work)
    assert done.outcome == "pg-test-1 couldn't be looked at: its minion didn't answer"
    known = (("pgsql-hba", "pgsql.hba"),)
    assert drift.readings(journal) == {FIRST: Reading(300.0, known, "its minion didn't answer")}


@pytest.mark.parametrize(
    ("host", "minions", "said"),
    [("10.9.9.9", ALL, "has no host 10.9.9.9"), (FIRST, (ADMIN,), "is not connected")],
)
def test_who_is_not_there_is_not_looked_at(
    world: World, journal: Journal, at_work: Worker, host: str, minions: Any, said: str
) -> None:
    world.minions = frozenset(minions)
    assert said in look(journal, at_work, host).outcome
    assert (world.ran, drift.readings(journal)) == ([], {})


def test_the_schedule_queues_whose_turn_it_is(world: World, journal: Journal) -> None:
    truth = world.truth("", "")
    assert worker.look_for_drift(journal, truth, 9 * DAY) == 0, "nobody was applied"
    for host in ALL:
        journal.settle("node.join", host, "applied", 1.0)
    away = replace(truth, minions=frozenset({SECOND}))
    assert worker.look_for_drift(journal, away, 9 * DAY) == 1
    assert [(one.kind, one.subject) for one in journal.open()] == [("drift", SECOND)]
