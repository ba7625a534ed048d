"""What follows from what: the table, read against the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pigsty import react, topology, views
from pigsty.clients.keys import Key, State
from pigsty.reactions import nodes, table
from pigsty.reactions.truth import HIGHSTATE, Step, Truth
from pigsty.topology import Topology

ROOT = Path(__file__).resolve().parents[3]
ADMIN, FIRST, SECOND, THIRD = (f"10.10.10.{number}" for number in (10, 11, 12, 13))
EVERYBODY = frozenset({ADMIN, FIRST, SECOND, THIRD})


@pytest.fixture(scope="module")
def declared() -> Topology:
    return topology.load(ROOT / "pillar/inventory/sandbox.yml")


def truth(
    declared: Topology, leader: str = "pg-test-2", minions: frozenset[str] = EVERYBODY
) -> Truth:
    pairs = [(f"/pg/pg-test/members/pg-test-{n}", '{"state": "running"}') for n in (1, 2, 3)]
    found = views.read("/pg", [("/pg/pg-test/leader", leader), *pairs])
    return Truth(declared, found, minions)


def test_after_a_change_of_the_leader_the_members_follow_by_their_live_role(
    declared: Topology,
) -> None:
    found = react.decide("pgsql.leader", "pg-test", truth(declared), "pg-test-1")
    assert found.why == "pg-test-2 leads pg-test"
    assert found.fact == "pg-test-2"
    assert found.stages == (
        (
            Step((FIRST, THIRD), ("pgsql.hba", "pgsql.pgbouncer")),
            Step((SECOND,), ("pgsql.hba", "pgsql.pgbouncer", "pgsql.objects")),
            Step((ADMIN,), ("infra.dns",)),
        ),
    )


def test_a_member_on_an_infra_node_does_all_of_it_in_one_job(declared: Topology) -> None:
    pairs = [("/pg/pg-meta/leader", "pg-meta-1")]
    world = Truth(declared, views.read("/pg", pairs), EVERYBODY)
    found = react.decide("pgsql.leader", "pg-meta", world, None)
    states = ("pgsql.hba", "pgsql.pgbouncer", "pgsql.objects", "infra.dns")
    assert found.stages == ((Step((ADMIN,), states),),)


def test_the_same_leader_again_is_no_news(declared: Topology) -> None:
    found = react.decide("pgsql.leader", "pg-test", truth(declared), "pg-test-2")
    assert (found.stages, found.wait) == ((), False)
    assert "already" in found.why


def test_while_nobody_leads_it_waits(declared: Topology) -> None:
    assert react.decide("pgsql.leader", "pg-test", truth(declared, ""), "pg-test-1").wait


@pytest.mark.parametrize("subject", ["nobody", "pg-test-2"])
def test_a_cluster_that_the_inventory_does_not_know_is_left_alone(
    declared: Topology, subject: str
) -> None:
    for kind in ("pgsql.leader", "pgsql.member"):
        found = react.decide(kind, subject, truth(declared), None)
        assert (found.stages, found.wait, found.fact) == ((), False, None)


def test_a_leader_that_the_inventory_does_not_know_is_named(declared: Topology) -> None:
    found = react.decide("pgsql.leader", "pg-test", truth(declared, "pg-evil-1"), None)
    assert found.stages == ()
    assert "pg-evil-1" in found.why and "not in the inventory" in found.why


def test_minions_that_are_away_are_left_out_and_named(declared: Topology) -> None:
    away = EVERYBODY - {FIRST, SECOND}
    found = react.decide("pgsql.leader", "pg-test", truth(declared, minions=away), None)
    rules = Step((THIRD,), ("pgsql.hba", "pgsql.pgbouncer"))
    assert found.stages == ((rules, Step((ADMIN,), ("infra.dns",))),)
    assert found.absent == (FIRST, SECOND)


def test_members_that_come_or_leave_concern_their_peers_and_the_infra_nodes(
    declared: Topology,
) -> None:
    found = react.decide("pgsql.member", "pg-test", truth(declared), None)
    assert found.stages == (
        (
            Step((FIRST, SECOND, THIRD), ("pgsql.hba", "pgsql.service")),
            Step((ADMIN,), ("infra",)),
        ),
    )
    again = react.decide("pgsql.member", "pg-test", truth(declared), found.fact)
    assert again.stages == ()


def test_a_member_that_is_declared_and_not_made_yet_is_left_alone(declared: Topology) -> None:
    found = truth(declared)
    pairs = [(f"/pg/pg-test/members/pg-test-{n}", '{"state": "running"}') for n in (2, 3)]
    found = replace(found, views=views.read("/pg", [("/pg/pg-test/leader", "pg-test-2"), *pairs]))
    for kind in ("pgsql.member", "pgsql.leader"):
        (stage,) = react.decide(kind, "pg-test", found, None).stages
        assert FIRST not in {host for step in stage for host in step.hosts}


def test_a_member_that_runs_again_learns_its_role_and_nobody_else_is_bothered(
    declared: Topology,
) -> None:
    def at(state: str) -> Truth:
        found = truth(declared)
        pairs = [("/pg/pg-test/leader", "pg-test-1")]
        pairs += [
            (
                f"/pg/pg-test/members/pg-test-{n}",
                json.dumps({"state": state if n == 2 else "running"}),
            )
            for n in (1, 2, 3)
        ]
        return replace(found, views=views.read("/pg", pairs))

    whole = react.decide("pgsql.member", "pg-test", at("running"), None).fact
    stopped = react.decide("pgsql.member", "pg-test", at("stopped"), whole)
    assert (stopped.stages, stopped.fact != whole) == ((), True)
    assert "pg-test-1, pg-test-3 of them run" in stopped.why
    back = react.decide("pgsql.member", "pg-test", at("streaming"), stopped.fact)
    assert back.stages == ((Step((SECOND,), ("pgsql.hba", "pgsql.pgbouncer")),),)
    assert back.fact == whole


def test_a_node_joins_while_its_peers_let_it_in_and_is_led_to_when_it_serves(
    declared: Topology,
) -> None:
    found = react.decide("node.join", SECOND, truth(declared), None)
    peers = ("node.hosts", "pgsql.hba", "pgsql.pgbouncer", "pgsql.patroni")
    assert found.stages == (
        (
            Step((ADMIN,), ("infra.repo", "etcd")),
            Step((SECOND,), HIGHSTATE),
            Step((FIRST, THIRD), peers),
        ),
        (Step((FIRST, THIRD), ("pgsql.service",)), Step((ADMIN,), ("infra",))),
    )
    assert found.fact == declared.inventory.checksum


def test_a_machine_runs_everything_of_a_stage_at_once(declared: Topology) -> None:
    found = react.decide("node.join", ADMIN, truth(declared), None)
    for stage in found.stages:
        hosts = [host for step in stage for host in step.hosts]
        assert len(hosts) == len(set(hosts)), stage
    assert found.stages[0][0] == Step((ADMIN,), HIGHSTATE)


def test_a_node_that_was_right_when_it_went_away_only_learns_who_leads(declared: Topology) -> None:
    known = declared.inventory.checksum
    found = react.decide("node.join", SECOND, truth(declared), known)
    assert found.stages == ((Step((SECOND,), ("pgsql.hba", "pgsql.pgbouncer")),),)
    assert found.fact == known


def test_before_the_first_apply_nothing_converges_by_itself(declared: Topology) -> None:
    bare = replace(truth(declared), deployed=False)
    found = react.decide("node.join", SECOND, bare, None)
    assert (found.stages, found.wait) == ((), False)
    assert "pigsty apply" in found.why


def test_a_node_that_has_gone_again_is_waited_for(declared: Topology) -> None:
    found = react.decide("node.join", SECOND, truth(declared, minions=frozenset({ADMIN})), None)
    assert found.wait


def test_a_stranger_is_not_touched(declared: Topology) -> None:
    found = react.decide("node.join", "10.9.9.9", truth(declared), None)
    assert (found.stages, found.wait) == ((), False)
    assert "10.9.9.9" in found.why


def _keys(*pairs: tuple[str, State]) -> tuple[Key, ...]:
    return tuple(Key(id, state, f"{number}a:" * 32, "") for number, (id, state) in enumerate(pairs))


def test_an_impostor_is_named_and_nothing_is_done(declared: Topology) -> None:
    seen = replace(truth(declared), keys=_keys((SECOND, "accepted"), (SECOND, "denied")))
    found = react.decide("node.key", SECOND, seen, None)
    assert found.stages == () and not found.wait
    assert f"somebody calls itself {SECOND}" in found.why and "goes on" in found.why
    assert found.fact == nodes.refused_keys(seen.keys, SECOND) != ""
    # The same key again is no news, another one is.
    other = replace(seen, keys=(seen.keys[0], replace(seen.keys[1], fingerprint="ff")))
    assert nodes.refused_keys(other.keys, SECOND) != found.fact


def test_a_key_of_a_stranger_and_one_that_nobody_brought_are_told_apart(
    declared: Topology,
) -> None:
    seen = replace(truth(declared), keys=_keys(("10.9.9.9", "pending"), (THIRD, "pending")))
    assert "no host 10.9.9.9" in react.decide("node.key", "10.9.9.9", seen, None).why
    assert f"pigsty node add {THIRD}" in react.decide("node.key", THIRD, seen, None).why
    assert react.decide("node.key", FIRST, seen, None).fact == ""


def test_whoever_left_is_forgotten_by_the_others(declared: Topology) -> None:
    found = react.decide("node.leave", "10.9.9.9", truth(declared), None)
    assert found.stages == (
        (Step(tuple(declared.nodes), ("node.hosts",)),),
        (Step((ADMIN,), ("infra",)),),
    )
    again = react.decide("node.leave", "10.9.9.9", truth(declared), found.fact)
    assert again.stages == ()


def test_nobody_forgets_a_machine_that_is_part_of_the_deployment(declared: Topology) -> None:
    assert "stands in the inventory" in react.decide("node.leave", FIRST, truth(declared), None).why
    known = replace(truth(declared), keys=_keys(("10.9.9.9", "accepted")))
    found = react.decide("node.leave", "10.9.9.9", known, None)
    assert found.stages == () and "pigsty node rm 10.9.9.9" in found.why


def test_every_state_of_the_table_exists() -> None:
    for follow_ups in table.FOLLOW_UPS.values():
        for sls in {sls for follow_up in follow_ups for sls in follow_up.sls} - {"highstate"}:
            path = ROOT / "states" / sls.replace(".", "/")
            assert path.with_suffix(".sls").exists() or (path / "init.sls").exists(), sls
