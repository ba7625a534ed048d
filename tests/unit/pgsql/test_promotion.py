"""A standby cluster is promoted, and follows again: what is done, and when it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pigsty import operations, promotion
from pigsty.clients.patroni import Member
from pigsty.operations import OperationRefused, Snapshot

ONE = Member("pg-dr-1", "10.1.1.21", 5432, "standby_leader", "streaming", 3, None, False, {})
TWO = Member("pg-dr-2", "10.1.1.22", 5432, "replica", "streaming", 3, 0, False, {})
UPSTREAM = {"host": "10.1.1.11,10.1.1.12", "port": 5432}


def snapshot(*members, answering=("pg-dr-1", "pg-dr-2"), paused=False, **config):
    return Snapshot("pg-dr", members or (ONE, TWO), frozenset(answering), paused, config)


def standby(*members, **changes):
    return snapshot(*members, standby_cluster=UPSTREAM, **changes)


LEADS = replace(ONE, role="leader", state="running")


def test_a_standby_cluster_is_promoted_by_its_leader():
    plan = promotion.promote(standby())
    assert (plan.action, plan.members, plan.leader) == ("promote", ("pg-dr-1",), "pg-dr-1")
    assert plan.upstream is None
    assert "stops following 10.1.1.11,10.1.1.12" in plan.sentence
    assert "delay" not in plan.effect


def test_the_end_of_a_delay_is_told():
    delayed = UPSTREAM | {"recovery_min_apply_delay": "1h"}
    assert "replayed at once" in promotion.promote(snapshot(standby_cluster=delayed)).effect


def test_a_cluster_that_takes_writes_needs_no_promotion():
    plan = promotion.promote(snapshot(LEADS, TWO))
    assert plan.members == () and "takes writes already" in plan.sentence


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (standby(paused=True), "pigsty pgsql resume pg-dr"),
        (standby(replace(ONE, role="replica"), TWO), "no healthy standby leader"),
        (standby(answering=("pg-dr-2",)), "no healthy standby leader"),
        (standby(replace(ONE, state="stopped"), TWO), "no healthy standby leader"),
    ],
)
def test_a_promotion_that_is_refused_says_why(seen, text):
    with pytest.raises(OperationRefused, match=text):
        promotion.promote(seen)


def test_a_promoted_cluster_follows_again_and_the_loss_is_told():
    plan = promotion.demote(snapshot(LEADS, TWO), UPSTREAM, "7", "7")
    assert (plan.action, plan.members, plan.upstream) == ("demote", ("pg-dr-1",), UPSTREAM)
    assert "LOST" in plan.effect and "follows 10.1.1.11,10.1.1.12" in plan.sentence


def test_a_cluster_that_follows_needs_no_demotion():
    plan = promotion.demote(standby(), UPSTREAM)
    assert plan.members == () and "already" in plan.sentence


@pytest.mark.parametrize(
    ("seen", "upstream", "text"),
    [
        (snapshot(LEADS, TWO), None, "pg_upstream"),
        (snapshot(LEADS, TWO, paused=True), UPSTREAM, "is paused"),
        (snapshot(TWO), UPSTREAM, "no healthy leader"),
        (snapshot(LEADS, TWO, answering=("pg-dr-2",)), UPSTREAM, "no healthy leader"),
    ],
)
def test_a_demotion_that_is_refused_says_why(seen, upstream, text):
    with pytest.raises(OperationRefused, match=text):
        promotion.demote(seen, upstream)


@pytest.mark.parametrize(
    ("own", "theirs", "text"),
    [
        ("7", "8", r"doesn't come from the cluster of .* \(system 7, there 8\).* pgsql rm pg-dr"),
        ("", "8", r"\(system unknown, there 8\)"),
        ("7", "", "no Patroni of 10.1.1.11,10.1.1.12 answers"),
    ],
)
def test_nobody_follows_a_stranger_or_a_silent_cluster(own, theirs, text):
    with pytest.raises(OperationRefused, match=text):
        promotion.demote(snapshot(LEADS, TWO), UPSTREAM, own, theirs)
    # One that follows already has nothing to lose.
    assert promotion.demote(standby(), UPSTREAM, own, theirs).members == ()


# -- quorum -------------------------------------------------------------------------------------

VOTERS = tuple(
    Member(f"pg-dr-{n}", f"10.1.1.2{n}", 5432, "quorum_standby", "streaming", 3, 0, False, {})
    for n in (2, 3)
)
ALL = ("pg-dr-1", "pg-dr-2", "pg-dr-3")


def test_a_switchover_in_quorum_mode_goes_to_a_voter_only():
    seen = snapshot(LEADS, *VOTERS, answering=ALL, synchronous_mode="quorum")
    assert operations.switchover(seen).members == ("pg-dr-2",)
    aside = (LEADS, replace(VOTERS[0], role="replica"), VOTERS[1])
    seen = snapshot(*aside, answering=ALL, synchronous_mode="quorum")
    assert operations.switchover(seen).members == ("pg-dr-3",)


def test_nobody_is_made_leader_by_hand_where_no_single_member_has_every_commit():
    """Patroni counts the votes; a person who names one of two voters may lose commits."""
    lost = snapshot(*VOTERS, answering=ALL[1:], synchronous_mode="quorum")
    with pytest.raises(OperationRefused, match="a single member may lack a commit"):
        operations.failover(lost, "pg-dr-2")
    assert operations.failover(lost, "pg-dr-2", force=True).members == ("pg-dr-2",)
    # The one synchronous standby of the other mode has them all.
    one = snapshot(replace(VOTERS[0], role="sync_standby"), synchronous_mode=True)
    assert operations.failover(one).members == ("pg-dr-2",)
