"""One function on one minion: its return, its words when it fails, and a minion that is lost."""

from __future__ import annotations

import pytest

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

    def publish(self, hosts, function, arguments, keywords=None):
        self.jobs.append((function, keywords))
        jid = str(len(self.jobs))
        if function == "saltutil.find_job" and self.alive:
            data = {"id": HOST, "return": {"jid": "1"} if self.running else {}}
            self.waiting.append(Event(f"salt/job/{jid}/ret/{HOST}", data))
        return Published(jid, frozenset(hosts))

    def next_event(self, seconds):
        if self.waiting:
            return self.waiting.pop()
        before, self.now = self.now, self.now + seconds
        if self.events and self.answer is not None and before <= self.after < self.now:
            return Event(f"salt/job/1/ret/{HOST}", {"id": HOST, "return": self.answer})
        return None

    def returns(self, jid):
        done = self.answer is not None and self.now > self.after
        return {HOST: self.answer} if jid == "1" and done else {}

    def call(self, **options):
        return remote.call(
            self, HOST, FUNCTION, deadline="backup.run", clock=lambda: self.now, **options
        )


def test_the_return_and_the_seconds():
    bus, seen = Bus({"a": 1}, after=3), []
    assert bus.call(keywords={"k": 2}, tick=seen.append) == {"a": 1}
    assert bus.jobs == [(FUNCTION, {"k": 2})]
    assert seen == [1.0, 2.0, 3.0]


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
