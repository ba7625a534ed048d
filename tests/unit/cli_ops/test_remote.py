"""One function on one minion: its return, its words when it fails, and a minion that is lost."""

from __future__ import annotations

import pytest

from pigsty import events
from pigsty.deadlines import DEADLINES
from pigsty_cli import remote
from pigsty_cli.errors import CliError, Refused
from pigsty_cli.saltapi import Event, Published

HOST, FUNCTION = "10.1.1.1", "pigsty_x.y"


class Bus:
    """A master with a clock: each wait for an event takes its seconds."""

    def __init__(self, answer=None, after=0.0, alive=True, events=True, running=True):
        self.answer, self.after, self.alive = answer, after, alive
        self.events, self.running = events, running
        self.now, self.jobs, self.waiting = 0.0, [], []
        self.executors, self.steps = [], []

    def publish(self, hosts, function, arguments, keywords=None, executor=""):
        self.jobs.append((function, keywords))
        self.executors.append(executor)
        jid = str(len(self.jobs))
        if function == "saltutil.find_job" and self.alive:
            data = {"id": HOST, "return": {"jid": "1"} if self.running else {}}
            self.waiting.append(Event(f"salt/job/{jid}/ret/{HOST}", data))
        return Published(jid, frozenset(hosts))

    def next_event(self, seconds):
        if self.waiting:
            return self.waiting.pop()
        if self.steps and self.steps[0][0] <= self.now:
            return Event(events.tag("work.step"), self.steps.pop(0)[1])
        before, self.now = self.now, self.now + seconds
        if self.events and self.answer is not None and before <= self.after < self.now:
            return Event(f"salt/job/1/ret/{HOST}", {"id": HOST, "return": self.answer})
        return None

    def returns(self, jid):
        done = self.answer is not None and self.now > self.after
        return {HOST: self.answer} if jid == "1" and done else {}

    def executors_of_a_call(self):
        self.call()
        return self.executors

    def call(self, **options):
        return remote.call(
            self, HOST, FUNCTION, deadline="backup.run", clock=lambda: self.now, **options
        )


class Screen:
    """Remembers what it was told."""

    def __init__(self):
        self.said = []

    def begin(self):
        self.said.append("begin")

    def step(self, step):
        self.said.append((step.phase, step.done, step.total))

    def tick(self):
        self.said.append("tick")


def told(jid="1", host=HOST, done=5, **more):
    data = {"jid": jid, "phase": "copies files", "done": done, "total": 10, "detail": "", **more}
    return {"id": host, "data": data}


def test_the_return_and_that_time_passes():
    bus, screen = Bus({"a": 1}, after=3), Screen()
    assert bus.call(keywords={"k": 2}, screen=screen) == {"a": 1}
    assert bus.jobs == [(FUNCTION, {"k": 2})]
    assert screen.said == ["begin", "tick", "tick", "tick"]


def test_who_watches_is_told_how_far_the_minion_is():
    bus, screen = Bus({"a": 1}, after=3), Screen()
    bus.steps = [(1, told()), (2, told(done=9))]
    assert bus.call(screen=screen) == {"a": 1}
    assert [said for said in screen.said if said not in ("begin", "tick")] == [
        ("copies files", 5, 10),
        ("copies files", 9, 10),
    ]
    # Only who watches costs the minion an event.
    assert bus.executors[0] == "pigsty_progress"
    assert Bus({"a": 1}).executors_of_a_call() == [""]


@pytest.mark.parametrize(
    "forged", [told(jid="2"), told(host="10.9.9.9"), told(done=-1), told(total="10"), {}, None]
)
def test_another_jobs_or_a_forged_step_is_not_shown(forged):
    bus, screen = Bus({"a": 1}, after=3), Screen()
    bus.steps = [(1, forged)]
    assert bus.call(screen=screen) == {"a": 1}
    assert set(screen.said) == {"begin", "tick"}


def test_a_step_is_a_sign_of_life():
    silence = DEADLINES["apply.silence"]
    bus = Bus({"a": 1}, after=3 * silence, alive=False)
    bus.steps = [(at, told()) for at in range(0, int(3 * silence), int(silence / 2))]
    assert bus.call(screen=Screen()) == {"a": 1}


def test_another_minions_step_is_none():
    bus = Bus(alive=False)
    bus.steps = [(at, told(host="10.9.9.9")) for at in range(0, 300, 10)]
    with pytest.raises(CliError, match="not been heard of"):
        bus.call(screen=Screen())


def test_a_lost_event_costs_one_look():
    bus = Bus({"a": 1}, after=1, events=False)
    assert bus.call() == {"a": 1}
    assert bus.now <= 1 + DEADLINES["apply.look"] + 1


def test_a_long_job_of_a_living_minion_is_waited_for():
    assert Bus({"a": 1}, after=4000).call() == {"a": 1}


@pytest.mark.parametrize(
    ("answer", "said"),
    [("ERROR: no stanza", f"{HOST}: no stanza"), ("'x' is not available.", "pigsty apply")],
)
def test_a_failure_is_told_in_its_own_words(answer, said):
    with pytest.raises(CliError, match=said):
        Bus(answer).call()


def test_a_dead_minion_is_given_up_after_its_silence():
    bus = Bus(alive=False)
    with pytest.raises(CliError, match="not been heard of"):
        bus.call()
    assert bus.now <= DEADLINES["apply.silence"] + 2


def test_a_restarted_minion_is_noticed():
    bus = Bus(running=False)
    with pytest.raises(CliError, match="restarted"):
        bus.call()
    assert bus.now < DEADLINES["apply.silence"]


def test_nothing_outlives_its_deadline():
    bus = Bus()
    with pytest.raises(CliError, match=r"deadline backup\.run"):
        bus.call()


def test_an_unknown_minion_is_refused():
    bus = Bus()
    bus.publish = lambda *_: Published("1", frozenset())
    with pytest.raises(Refused, match="no minion"):
        bus.call()


def test_a_minion_without_an_answer_gets_no_function():
    bus = Bus()
    bus.collect = lambda job, deadline: {}
    with pytest.raises(CliError, match="doesn't answer"):
        remote.refresh(bus, HOST)
    bus.collect = lambda job, deadline: {HOST: True}
    remote.refresh(bus, HOST)
    assert bus.jobs[-1] == ("saltutil.refresh_pillar", {"wait": True})


def test_of_a_traceback_the_last_line_is_told():
    with pytest.raises(CliError) as told:
        Bus("The minion function caused an exception: Traceback (most\n  a\nKeyError: 'b'").call()
    assert str(told.value) == f"{HOST}: {FUNCTION}: KeyError: 'b'"
