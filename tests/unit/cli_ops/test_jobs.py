"""Following jobs: results from the cache, progress from events, and hosts that are lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pigsty.deadlines import DEADLINES
from pigsty.events import ApplyStep
from pigsty.returns import HostResult
from pigsty_cli.jobs import Follower
from pigsty_cli.saltapi import Event, Published, SaltError

A, B = "10.0.0.1", "10.0.0.2"
GOOD = {"x_|-y_|-y_|-z": {"result": True, "changes": {}, "__run_num__": 0}}


class Bus:
    """A Salt master made of a script: at which second which event comes, or what is done."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cache: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, tuple[str, ...], float]] = []
        self.looks = 0
        self._script: list[tuple[float, Event | Callable[[], None]]] = []

    def at(self, second: float, what: Event | Callable[[], None]) -> None:
        self._script.append((second, what))
        self._script.sort(key=lambda entry: entry[0])

    def returned(self, second: float, jid: str, host: str, data: Any = GOOD, late: float = 0.0):  # type: ignore[no-untyped-def]
        event = Event(f"salt/job/{jid}/ret/{host}", {"id": host, "return": data})
        if late:
            self.at(second, event)
            self.at(second + late, lambda: self.store(jid, host, data))
        else:
            self.at(second, lambda: self.store(jid, host, data))
            self.at(second, event)

    def store(self, jid: str, host: str, data: Any) -> None:
        self.cache.setdefault(jid, {})[host] = data

    def next_event(self, seconds: float) -> Event | None:
        end = self.now + seconds
        while self._script and self._script[0][0] <= end:
            second, what = self._script.pop(0)
            self.now = max(self.now, second)
            if isinstance(what, Event):
                return what
            what()
        self.now = end
        assert self.now < 1000, "it waits forever"
        return None

    def returns(self, jid: str) -> dict[str, Any]:
        self.looks += 1
        return self.cache.get(jid, {})

    def publish(self, hosts: Sequence[str], function: str, arguments: Sequence[Any]) -> Published:
        assert function == "saltutil.find_job"
        jid = f"ask{len(self.asked)}"
        self.asked.append((arguments[0], tuple(hosts), self.now))
        answer = self.answer
        for host in hosts:
            if answer is not None and host in answer:
                data = {"id": host, "return": answer[host]}
                self.at(self.now + 0.2, Event(f"salt/job/{jid}/ret/{host}", data))
        return Published(jid, frozenset(hosts))

    answer: dict[str, Any] | None = None


class Screen:
    def __init__(self) -> None:
        self.steps: list[ApplyStep] = []
        self.ended: list[str] = []
        self.ticks = 0

    def step(self, step: ApplyStep) -> None:
        self.steps.append(step)

    def done(self, result: HostResult) -> None:
        self.ended.append(result.host)

    def tick(self) -> None:
        self.ticks += 1


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def screen() -> Screen:
    return Screen()


def follow(bus: Bus, screen: Screen, jobs: dict[str, list[str]]) -> dict[str, HostResult]:
    return Follower(bus, screen, clock=lambda: bus.now).follow(jobs)


def step(host: str, jid: str, done: int) -> Event:
    data = {"jid": jid, "done": done, "total": 9, "changed": 0, "failed": 0, "state": "x"}
    return Event("pigsty/apply/node/step", {"id": host, "data": data})


def test_a_return_ends_its_host_at_once(bus: Bus, screen: Screen) -> None:
    bus.returned(3.0, "1", A)
    bus.returned(4.0, "1", B)
    found = follow(bus, screen, {"1": [A, B]})
    assert {host: (r.status, r.seconds) for host, r in found.items()} == {
        A: ("ok", pytest.approx(3.0)),
        B: ("ok", pytest.approx(4.0)),
    }
    assert screen.ended == [A, B]


def test_a_return_that_is_in_the_cache_a_moment_after_its_event_is_not_waited_for_long(
    bus: Bus, screen: Screen
) -> None:
    bus.returned(1.0, "1", A)
    bus.returned(1.0, "1", B, late=0.15)
    found = follow(bus, screen, {"1": [A, B]})
    assert found[B].seconds < 1.5


def test_a_return_whose_event_was_lost_is_found_all_the_same(bus: Bus, screen: Screen) -> None:
    bus.at(2.0, lambda: bus.store("1", A, GOOD))
    found = follow(bus, screen, {"1": [A]})
    assert found[A].status == "ok"
    assert found[A].seconds <= 2.0 + DEADLINES["apply.look"]


def test_an_event_alone_is_no_result(bus: Bus, screen: Screen) -> None:
    """Any accepted minion can forge one; only the job cache counts."""
    bus.at(1.0, Event(f"salt/job/1/ret/{A}", {"id": A, "return": GOOD}))
    bus.returned(8.0, "1", A, ["states didn't compile"])
    assert follow(bus, screen, {"1": [A]})[A].status == "failed"


def test_returns_of_other_jobs_are_not_looked_at(bus: Bus, screen: Screen) -> None:
    bus.returned(1.0, "other", A, "boom")
    bus.returned(2.0, "1", A)
    assert follow(bus, screen, {"1": [A]})[A].status == "ok"


def test_several_jobs_are_followed_at_once(bus: Bus, screen: Screen) -> None:
    bus.returned(5.0, "1", A)
    bus.returned(2.0, "2", B, ["no"])
    found = follow(bus, screen, {"1": [A], "2": [B]})
    assert (found[A].status, found[B].status) == ("ok", "failed")


def test_steps_of_this_job_are_shown_and_others_are_not(bus: Bus, screen: Screen) -> None:
    bus.at(1.0, step(A, "1", 2))
    bus.at(1.1, step(A, "another", 8))
    bus.at(1.2, step("10.0.0.99", "1", 5))
    bus.returned(2.0, "1", A)
    follow(bus, screen, {"1": [A]})
    assert [(s.id, s.done) for s in screen.steps] == [(A, 2)]


def test_a_silent_host_is_lost_after_its_deadline_and_not_sooner(bus: Bus, screen: Screen) -> None:
    bus.answer = {}
    found = follow(bus, screen, {"1": [A]})
    assert found[A].status == "lost"
    assert "not been heard of" in found[A].error
    limit = DEADLINES["apply.silence"]
    assert limit <= found[A].seconds <= limit + DEADLINES["apply.ask"]


def test_a_host_that_works_on_is_waited_for_however_long(bus: Bus, screen: Screen) -> None:
    bus.answer = {A: {"jid": "1", "pid": 7}}
    bus.returned(400.0, "1", A)
    found = follow(bus, screen, {"1": [A]})
    assert found[A].status == "ok"
    assert {jid for jid, _, _ in bus.asked} == {"1"}


def test_progress_counts_as_a_sign_of_life(bus: Bus, screen: Screen) -> None:
    bus.answer = {}
    for second in range(10, 300, 20):
        bus.at(float(second), step(A, "1", second))
    bus.returned(310.0, "1", A)
    assert follow(bus, screen, {"1": [A]})[A].status == "ok"


def test_a_minion_that_was_restarted_is_lost_soon(bus: Bus, screen: Screen) -> None:
    bus.answer = {A: {}}
    found = follow(bus, screen, {"1": [A]})
    assert found[A].status == "lost"
    assert "restarted" in found[A].error
    assert found[A].seconds <= 4 * DEADLINES["apply.ask"]


def test_one_denial_is_not_enough(bus: Bus, screen: Screen) -> None:
    bus.answer = {A: {}}
    bus.returned(DEADLINES["apply.ask"] + 1, "1", A)
    assert follow(bus, screen, {"1": [A]})[A].status == "ok"


def test_a_lost_host_does_not_hold_up_the_others(bus: Bus, screen: Screen) -> None:
    bus.answer = {B: {"jid": "1"}}
    bus.returned(100.0, "1", B)
    found = follow(bus, screen, {"1": [A, B]})
    assert (found[A].status, found[B].status) == ("lost", "ok")
    assert screen.ended == [A, B]


def test_only_those_who_have_not_returned_are_asked(bus: Bus, screen: Screen) -> None:
    bus.answer = {B: {"jid": "1"}}
    bus.returned(1.0, "1", A)
    bus.returned(40.0, "1", B)
    follow(bus, screen, {"1": [A, B]})
    assert {hosts for _, hosts, _ in bus.asked} == {(B,)}


def test_the_cache_is_read_now_and_then_and_not_all_the_time(bus: Bus, screen: Screen) -> None:
    bus.answer = {A: {"jid": "1"}}
    for tenth in range(1, 500):
        bus.at(tenth / 10, step(A, "1", tenth))
    bus.returned(50.0, "1", A)
    follow(bus, screen, {"1": [A]})
    assert bus.looks <= 20


def test_an_old_job_is_not_timed(bus: Bus, screen: Screen) -> None:
    bus.store("1", A, GOOD)
    found = Follower(bus, screen, clock=lambda: bus.now).follow({"1": [A]}, timed=False)
    assert found[A].seconds == 0.0


def test_ctrl_c_comes_through(bus: Bus, screen: Screen) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    bus.at(1.0, interrupt)
    with pytest.raises(KeyboardInterrupt):
        follow(bus, screen, {"1": [A]})


def test_a_master_that_is_down_for_a_while_is_waited_for(
    bus: Bus, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_arguments: Any) -> Published:
        raise SaltError("the Salt master didn't take the job")

    monkeypatch.setattr(bus, "publish", refuses)
    bus.returned(40.0, "1", A)
    assert follow(bus, screen, {"1": [A]})[A].status == "ok"
