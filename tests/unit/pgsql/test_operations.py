"""What an operation does or why it is refused, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pigsty import operations
from pigsty.clients.patroni import Member
from pigsty.operations import NotYet, OperationRefused, Snapshot
from pigsty.targets import TargetError

ONE = Member("pg-test-1", "10.1.1.11", 5432, "leader", "running", 3, None, False, {})
TWO = Member("pg-test-2", "10.1.1.12", 5432, "replica", "streaming", 3, 0, False, {})
THREE = Member("pg-test-3", "10.1.1.13", 5432, "replica", "streaming", 3, 0, True, {})
ALL = ("pg-test-1", "pg-test-2", "pg-test-3")


def snapshot(*members, answering=ALL, paused=False, **config):
    members = members or (ONE, TWO, THREE)
    return Snapshot("pg-test", members, frozenset(answering), paused, config)


def no_leader(**changes):
    return snapshot(replace(ONE, role="replica", state="stopped"), TWO, THREE, **changes)


# -- switchover ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "chosen"),
    [
        (snapshot(), "pg-test-2"),
        (snapshot(ONE, replace(TWO, lag=4096), THREE), "pg-test-3"),
        (snapshot(ONE, replace(TWO, tags={"nofailover": True}), THREE), "pg-test-3"),
        (snapshot(ONE, replace(TWO, timeline=2), THREE), "pg-test-3"),
        (snapshot(answering=("pg-test-1", "pg-test-3")), "pg-test-3"),
        (snapshot(ONE, TWO, replace(THREE, role="sync_standby"), synchronous_mode=True), ALL[2]),
        (snapshot(ONE, TWO, replace(THREE, role="quorum_standby"), synchronous_mode="quorum"),
         ALL[2]),
        (snapshot(ONE, replace(TWO, lag=2097152), maximum_lag_on_failover=4194304), "pg-test-2"),
        (snapshot(replace(ONE, role="standby_leader"), TWO), "pg-test-2"),
    ],
)  # fmt: skip
def test_the_lead_goes_to_the_replica_that_lacks_least(seen, chosen):
    plan = operations.switchover(seen)
    assert (plan.action, plan.members, plan.leader) == ("switchover", (chosen,), "pg-test-1")
    assert chosen in plan.sentence and "pg-test-1" in plan.effect


@pytest.mark.parametrize(
    ("seen", "candidate", "text"),
    [
        (snapshot(paused=True), None, "pigsty pgsql resume pg-test"),
        (no_leader(), None, "has no leader"),
        (snapshot(answering=ALL[1:]), None, "pg-test-1 of pg-test is not healthy"),
        (snapshot(replace(ONE, state="crashed"), TWO), None, "not healthy"),
        (snapshot(), "pg-test-1", "leads pg-test already"),
        (snapshot(ONE), None, "no replica that can take the lead"),
        (
            snapshot(ONE, replace(TWO, state="stopped")),
            None,
            "pg-test-2: its PostgreSQL is stopped",
        ),
        (snapshot(answering=ALL[:1]), "pg-test-2", "doesn't answer"),
        (snapshot(ONE, replace(TWO, tags={"nofailover": True})), "pg-test-2", "never to lead"),
        (snapshot(ONE, replace(TWO, lag=2097152)), "pg-test-2", "lags 2097152 bytes"),
        (snapshot(ONE, replace(TWO, lag=9), maximum_lag_on_failover=8), "pg-test-2", "more than 8"),
        (snapshot(ONE, replace(TWO, lag=None)), "pg-test-2", "unknown"),
        (snapshot(ONE, replace(TWO, timeline=2)), "pg-test-2", "timeline 2, the leader on 3"),
        (snapshot(synchronous_mode=True), "pg-test-2", "no synchronous standby"),
        (snapshot(synchronous_mode="quorum"), None, "no synchronous standby"),
    ],
)
def test_a_switchover_that_is_refused_says_why(seen, candidate, text):
    with pytest.raises(OperationRefused, match=text) as caught:
        operations.switchover(seen, candidate)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("seen", "candidate", "passes"),
    [
        (snapshot(ONE, replace(TWO, lag=2**24)), None, True),
        (snapshot(ONE, replace(TWO, lag=2**24)), "pg-test-2", True),
        (snapshot(ONE, replace(TWO, lag=None)), None, True),
        (snapshot(ONE, replace(TWO, timeline=2)), None, True),
        (snapshot(ONE, replace(TWO, state="starting")), None, True),
        (snapshot(synchronous_mode=True), None, True),
        # One that is silent, was asked just now; a tag stays; and these have nobody to wait for.
        (snapshot(answering=ALL[:1]), None, False),
        (snapshot(ONE, replace(TWO, tags={"nofailover": True})), None, False),
        (snapshot(ONE, replace(TWO, lag=2**24), THREE, answering=ALL[::2]), "pg-test-2", False),
        (snapshot(ONE), None, False),
        (snapshot(), "pg-test-1", False),
        (snapshot(paused=True), None, False),
        (no_leader(), None, False),
    ],
)
def test_another_look_helps_where_patronis_next_loop_may_say_otherwise(seen, candidate, passes):
    with pytest.raises(OperationRefused) as caught:
        operations.switchover(seen, candidate)
    assert isinstance(caught.value, NotYet) is passes


def test_a_failover_without_a_leader_never_waits():
    with pytest.raises(OperationRefused) as caught:
        operations.failover(snapshot(ONE, replace(TWO, lag=2**24), answering=ALL[1:]))
    assert not isinstance(caught.value, NotYet)


def test_an_unknown_candidate_is_named_with_those_that_are_near():
    with pytest.raises(TargetError, match="did you mean pg-test-2"):
        operations.switchover(snapshot(), "pg-tset-2")


def test_synchronous_mode_off_in_all_its_spellings():
    for off in (None, False, "off"):
        assert not snapshot(synchronous_mode=off).synchronous


# -- failover -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "candidate", "force", "chosen"),
    [
        (no_leader(), None, False, "pg-test-2"),
        (no_leader(), "pg-test-3", False, "pg-test-3"),
        (snapshot(answering=ALL[1:]), None, False, "pg-test-2"),
        (snapshot(), "pg-test-3", True, "pg-test-3"),
        (no_leader(paused=True), None, True, "pg-test-2"),
        (snapshot(ONE, replace(TWO, lag=2**30)), None, True, "pg-test-2"),
        (no_leader(synchronous_mode=True), "pg-test-2", True, "pg-test-2"),
    ],
)
def test_a_failover(seen, candidate, force, chosen):
    plan = operations.failover(seen, candidate, force=force)
    assert plan.members == (chosen,) and "lost" in plan.effect


@pytest.mark.parametrize(
    ("seen", "candidate", "force", "text"),
    [
        (snapshot(), None, False, "switchover pg-test` loses nothing; --force"),
        (no_leader(paused=True), None, False, "or say --force"),
        (no_leader(synchronous_mode=True), None, False, "may lack commits"),
        (no_leader(answering=()), None, False, "no replica that can take"),
        (no_leader(answering=()), "pg-test-2", True, "doesn't answer"),
        (snapshot(ONE, replace(TWO, tags={"nofailover": True})), "pg-test-2", True, "never to"),
        (snapshot(), "pg-test-1", True, "already"),
    ],
)
def test_a_failover_that_is_refused(seen, candidate, force, text):
    with pytest.raises(OperationRefused, match=text):
        operations.failover(seen, candidate, force=force)


# -- restart, reload, reinit --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "pending", "members"),
    [
        ((), False, ("pg-test-2", "pg-test-3", "pg-test-1")),
        (("pg-test-1", "pg-test-2", "pg-test-1"), False, ("pg-test-2", "pg-test-1")),
        ((), True, ("pg-test-3",)),
        (("pg-test-2",), True, ()),
    ],
)
def test_members_restart_one_by_one_the_leader_last(names, pending, members):
    plan = operations.restart(snapshot(), names, pending=pending)
    assert plan.members == members
    assert ("writes wait" in plan.effect) == ("pg-test-1" in members)
    assert bool(plan.effect) == bool(members)


@pytest.mark.parametrize(
    ("seen", "names", "text"),
    [
        (snapshot(paused=True), (), "is paused"),
        (no_leader(), (), "has no leader"),
        (snapshot(answering=ALL[:2]), (), "pg-test-3: no answer"),
    ],
)
def test_a_restart_that_is_refused(seen, names, text):
    with pytest.raises(OperationRefused, match=text):
        operations.restart(seen, names)


def test_a_member_that_is_silent_does_not_hinder_the_others():
    seen = snapshot(answering=ALL[:2])
    assert operations.restart(seen, ["pg-test-2"]).members == ("pg-test-2",)
    assert operations.reload(seen, ["pg-test-1"]).members == ("pg-test-1",)
    with pytest.raises(OperationRefused):
        operations.reload(seen)


def test_a_reload_goes_to_all_also_in_maintenance():
    assert operations.reload(snapshot(paused=True)).members == ALL


def test_a_copy_says_when_nobody_is_left_to_take_over():
    assert "NO other member" not in operations.reinit(snapshot(), "pg-test-2").effect
    assert "NO other member" in operations.reinit(snapshot(ONE, TWO), "pg-test-2").effect


@pytest.mark.parametrize(
    ("seen", "name", "text"),
    [
        (snapshot(), "pg-test-1", "its data are the cluster's"),
        (snapshot(paused=True), "pg-test-2", "is paused"),
        (no_leader(), "pg-test-2", "no healthy leader"),
        (snapshot(answering=ALL[1:]), "pg-test-2", "no healthy leader"),
        (snapshot(answering=ALL[:1]), "pg-test-2", "no answer"),
    ],
)
def test_a_copy_that_is_refused(seen, name, text):
    with pytest.raises(OperationRefused, match=text):
        operations.reinit(seen, name)


# -- pause, resume ------------------------------------------------------------------------------


def test_maintenance_begins_and_ends_once():
    assert operations.pause(snapshot()).members == ALL
    assert operations.pause(snapshot(paused=True)).members == ()
    assert operations.resume(snapshot(paused=True)).members == ALL
    assert operations.resume(snapshot()).members == ()
    assert "already" in operations.pause(snapshot(paused=True)).sentence
