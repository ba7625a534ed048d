"""Runs with real Salt daemons: modules arrive, progress comes, results are read, minions get lost.

The tests stand in the order of a minion's life, and the last one kills it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from pigsty import topology
from pigsty.deadlines import wait_until
from pigsty.events import ApplyStep, WorkStep
from pigsty.returns import HostResult
from pigsty_cli import applying, jobs, saltapi
from pigsty_cli.applying import Plan
from pigsty_cli.saltapi import Master, SaltError

ROOT = Path(__file__).resolve().parents[3]
MEMBER, STRANGER = "10.10.10.13", "10.10.10.12"
#: Two loaded cores, and daemons of which all come from 127.0.0.1 and so look unconnected.
SLOW = {"apply.stranger": 20.0, "apply.presence": 20.0}
QUICK = {"apply.ask": 2.0, "apply.silence": 6.0}


class Screen:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[ApplyStep] = []
        self.ended: list[HostResult] = []

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_exc: object) -> None: ...

    def step(self, step: ApplyStep) -> None:
        self.steps.append(step)

    def done(self, result: HostResult) -> None:
        self.ended.append(result)

    def tick(self) -> None: ...


@pytest.fixture(autouse=True)
def deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = MappingProxyType({**applying.DEADLINES, **SLOW})
    monkeypatch.setattr(applying, "DEADLINES", patient)


@pytest.fixture
def master(ops_master: Any, ops_minion: Any) -> Iterator[Master]:
    with Master(Path(ops_master.config["conf_file"])) as connected:
        yield connected


def plan(*modules: str, test: bool = False) -> Plan:
    found = topology.load(ROOT / "pillar/inventory/sandbox.yml")
    return Plan(found, (MEMBER,), modules, test)


def run(master: Master, what: Plan) -> tuple[HostResult, Screen, list[str]]:
    screen, said = Screen(), list[str]()
    found = applying.presence(master, what.hosts, MEMBER)
    assert found.up == (MEMBER,), found.missing
    engine = applying.Run(master, what, lambda hosts: screen, said.append)
    (result,) = engine.run(found, built=True)
    return result, screen, said


def test_a_host_that_the_master_does_not_know_is_named(master: Master) -> None:
    found = applying.presence(master, (MEMBER, STRANGER), MEMBER)
    assert found.up == (MEMBER,)
    assert "key" in found.missing[STRANGER]


def test_a_new_minion_gets_our_modules_and_then_shows_its_progress(master: Master) -> None:
    assert applying.presence(master, (MEMBER,), MEMBER).stale == (MEMBER,)
    result, screen, said = run(master, plan())
    assert said == ["Bringing modules to 1 host."]
    assert (result.status, result.ok, result.changed, result.failed) == ("changed", 2, 2, 0)
    assert any("wait" in step.state for step in screen.steps), screen.steps
    assert screen.steps[-1].total == 4
    assert screen.ended == [result]


def test_the_second_time_nothing_is_brought(master: Master) -> None:
    found = applying.presence(master, (MEMBER,), MEMBER)
    assert found.stale == (), "the fingerprint of what Salt has synced is that of the repository"
    _, screen, said = run(master, plan())
    assert said == []
    assert screen.steps


def test_an_audit_changes_nothing_and_finds_the_same(master: Master) -> None:
    result, _, _ = run(master, plan(test=True))
    assert (result.status, result.changed) == ("changed", 1)


def test_a_failure_comes_back_with_its_comment(master: Master) -> None:
    result, _, _ = run(master, plan("node"))
    assert (result.status, result.failed, result.skipped) == ("failed", 1, 1)
    (failure,) = result.failures
    assert (failure.id, failure.sls) == ("broken", "node")
    assert "it is broken" in failure.comment


def test_a_job_of_the_past_is_remembered(master: Master) -> None:
    job = master.publish([MEMBER], "state.apply", ["quick"], {"test": True})
    jobs.Follower(master, Screen()).follow({job.jid: [MEMBER]})
    assert master.job(job.jid).minions == {MEMBER}
    assert master.job(job.jid).test is True
    (result,) = jobs.Follower(master, Screen()).follow({job.jid: [MEMBER]}, timed=False).values()
    assert (result.status, result.seconds) == ("changed", 0.0)
    with pytest.raises(SaltError, match="knows no job"):
        master.job("20200101000000000000")


def test_one_long_function_tells_how_far_it_is(master: Master) -> None:
    words = {"phase": "copies files", "done": 43, "total": 100, "detail": "of pg-test"}
    job = master.publish([MEMBER], "pigsty_work.tell", [], words, saltapi.EXECUTOR)
    seen: list[WorkStep] = []

    def told() -> bool:
        event = master.next_event(1.0)
        step = event and WorkStep.from_event(event.tag, event.data)
        seen.extend([step] if step else [])
        return bool(seen)

    wait_until(told, "backup.info", "the minion's step comes by")
    assert seen == [WorkStep(MEMBER, job.jid, "copies files", 43, 100, "of pg-test")]


def test_a_state_tells_how_far_it_is(master: Master) -> None:
    """Salt loads a module anew for states: who listens has to be heard of there, too."""
    job = master.publish(
        [MEMBER], "state.apply", ["telling"], {}, saltapi.EXECUTOR, {"synced": True}
    )
    screen = Screen()
    (result,) = jobs.Follower(master, screen).follow({job.jid: [MEMBER]}).values()
    assert result.failed == 0, result
    assert "module: backup: copies files, 43 %" in [step.state for step in screen.steps]


def test_the_master_tells_when_it_was_started(master: Master) -> None:
    started = master.started()
    assert started is not None
    assert 0 < time.time() - started < 600


def test_who_works_already_is_seen(master: Master) -> None:
    job = master.publish([MEMBER], "state.apply", ["quick"])
    found = applying.presence(master, (MEMBER,), MEMBER)
    assert job.jid in found.busy[MEMBER]
    jobs.Follower(master, Screen()).follow({job.jid: [MEMBER]})
    assert applying.presence(master, (MEMBER,), MEMBER).busy == {}


def test_nobody_with_a_key_is_no_error_of_the_master(master: Master) -> None:
    found = applying.presence(master, (STRANGER,), MEMBER)
    assert found.up == ()
    assert "key" in found.missing[STRANGER]


def test_a_minion_that_dies_at_work_is_lost(
    master: Master, ops_minion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "DEADLINES", MappingProxyType({**jobs.DEADLINES, **QUICK}))
    job = master.publish([MEMBER], "state.apply", ["pgsql"])
    ops_minion.terminate()
    (result,) = jobs.Follower(master, Screen()).follow({job.jid: [MEMBER]}).values()
    assert result.status == "lost"
    assert result.seconds < QUICK["apply.silence"] + 3 * QUICK["apply.ask"]
    assert job.jid in result.error


def test_a_master_that_dies_meanwhile_ends_the_run_and_does_not_spin(
    master: Master, ops_master: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test: nothing is left afterwards."""
    quick = {**QUICK, "apply.publish": 3.0}
    for module in (jobs, saltapi):
        monkeypatch.setattr(module, "DEADLINES", MappingProxyType({**jobs.DEADLINES, **quick}))
    job = master.publish([MEMBER], "state.apply", ["pgsql"])
    ops_master.terminate()
    screen = Screen()
    begin = time.process_time()
    (result,) = jobs.Follower(master, screen).follow({job.jid: [MEMBER]}).values()
    assert result.status == "lost"
    assert time.process_time() - begin < 2
