"""Who is added to a cluster, what stands against it, and who is told."""

from __future__ import annotations

import pytest
from scaled import ONE, THREE, TWO, lives, living

from pigsty import dcs, scaling
from pigsty.scaling import FILTER, PEERS, ScalingRefused
from pigsty.targets import Job, TargetError

NOTHING = dcs.parse("pg-test", "/pg/pg-test/", {})
TWO_LIVE = living(members=(lives("pg-test-1", ONE), lives("pg-test-2", TWO)))


def names(growth):
    return [member.name for member in growth.members]


def test_whoever_does_not_live_yet_is_added(deployment):
    found = scaling.growth(deployment(), "pg-test", TWO_LIVE, ())
    assert names(found) == ["pg-test-3"] and not found.fresh
    assert [member.name for member in found.peers] == ["pg-test-1", "pg-test-2"]
    assert found.sentences == (f"pg-test-3 on {THREE} copies the data and follows the leader",)


def test_nobody_is_added_where_all_live(deployment):
    assert scaling.growth(deployment(), "pg-test", living(), ()).members == ()


def test_a_member_is_named_by_address_or_name_and_may_live_already(deployment):
    for word in (THREE, "pg-test-3"):
        assert names(scaling.growth(deployment(), "pg-test", living(), (word,))) == ["pg-test-3"]


def test_a_new_cluster_begins_with_its_declared_primary(deployment):
    found = scaling.growth(deployment(), "pg-test", NOTHING, ())
    assert found.fresh and len(found.members) == 3 and found.peers == ()
    assert found.sentences[0] == f"pg-test-1 on {ONE} makes the cluster"
    with pytest.raises(ScalingRefused, match="pg-test-1 has to be among its first members"):
        scaling.growth(deployment(), "pg-test", NOTHING, ("pg-test-2",))


def test_a_new_cluster_that_copies_another_says_so(deployment):
    found = scaling.growth(
        deployment(hosts={ONE: {"pg_upstream": "10.1.1.10"}}), "pg-test", NOTHING, ()
    )
    assert found.sentences[0].endswith("makes the cluster, a copy of pg-meta that follows it")


def test_a_cascade_and_a_member_aside_are_said(deployment):
    hosts = {THREE: {"pg_role": "offline", "pg_upstream": TWO}}
    found = scaling.growth(deployment(hosts=hosts), "pg-test", TWO_LIVE, ())
    assert found.sentences == (
        f"pg-test-3 on {THREE} copies the data and follows pg-test-2 (it is never to lead)",
    )


@pytest.mark.parametrize(
    ("live", "text"),
    [
        (living(paused=True, members=()), "is paused"),
        (living("", members=()), "has no leader to copy from"),
    ],
)
def test_a_cluster_that_cannot_be_copied_from_grows_not(deployment, live, text):
    with pytest.raises(ScalingRefused, match=text) as error:
        scaling.growth(deployment(), "pg-test", live, ())
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("cluster", "word", "text"),
    [
        ("pg-tset", (), "unknown cluster 'pg-tset': did you mean pg-test"),
        ("pg-test", ("10.1.1.10",), "10.1.1.10 is a member of pg-meta, not of pg-test"),
        ("pg-test", ("pg-meta-1",), "pg-meta-1 is a member of pg-meta, not of pg-test"),
        ("pg-test", ("10.9.9.9",), "unknown member of pg-test"),
        ("pg-test", ("10.1.1.20",), "10.1.1.20 is no member of pg-test: give it pg_seq"),
    ],
)
def test_a_wrong_name_is_said_to_be_one(deployment, cluster, word, text):
    found = deployment(extra="10.1.1.20")
    with pytest.raises(TargetError, match=text):
        scaling.growth(found, cluster, living(), word)


def test_new_members_are_made_while_the_others_let_them_in(deployment):
    found = deployment(hosts={TWO: {"node_firewall_mode": "zone"}})
    work = scaling.first(found, scaling.growth(found, "pg-test", TWO_LIVE, ()))
    assert work == (
        Job((THREE,), ("node", "pgsql", "node.monitor")),
        Job((ONE,), PEERS),
        Job((TWO,), (FILTER, *PEERS)),
    )


def test_services_are_led_by_those_who_carry_them(deployment):
    found = deployment()
    own = scaling.routing(found, found.pg_clusters["pg-test"], (ONE, TWO))
    assert own == (Job((ONE, TWO), ("pgsql.service",)),)
    found = deployment(pg_service_provider="infra")
    assert scaling.routing(found, found.pg_clusters["pg-test"], (ONE, TWO)) == (
        Job(("10.1.1.10",), ("node.haproxy",)),
    )
    assert scaling.routing(deployment(), deployment().pg_clusters["pg-test"], ()) == ()
