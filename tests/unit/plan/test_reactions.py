"""What follows from an edit: told, or carried out; never what would need a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from editions import ADMIN, ALL, FIRST, SECOND, THIRD, Edit, cluster, edited, touched

from pigsty import react, worker
from pigsty.journal import Journal
from pigsty.kept import Basis
from pigsty.reactions.truth import Decision, Step, Truth

RULE = {"title": "a new one", "user": "test", "db": "test", "addr": "10.9.9.0/24", "auth": "pwd"}
MEMBERS = (FIRST, SECOND, THIRD)


def rule(data: dict[str, Any]) -> None:
    cluster(data)["vars"]["pg_hba_rules"] = [RULE]


def automatic(data: dict[str, Any]) -> None:
    data["all"]["vars"]["pigsty_auto_apply"] = True


def without_third(data: dict[str, Any]) -> None:
    del cluster(data)["hosts"][THIRD]


def truth(now: Basis, minions: Sequence[str] = ALL) -> Truth:
    return Truth(now.topology, {}, frozenset(minions), change=touched(now), basis=now)


def decided(*edits: Edit, settled: str | None = None, minions: Sequence[str] = ALL) -> Decision:
    found = truth(edited(*edits), minions)
    return react.decide("inventory.changed", "inventory", found, settled)


def test_by_itself_just_those_states_are_run_that_the_edit_touches() -> None:
    found = decided(rule, automatic)
    assert found.stages == ((Step(MEMBERS, ("pgsql.hba",)),),)
    assert found.why == "the edit touches pgsql.hba on pg-test-1, pg-test-2, pg-test-3"
    assert found.fact


def test_without_the_setting_it_is_told_what_to_type() -> None:
    found = decided(rule)
    assert found.stages == ()
    assert found.why.endswith("`pigsty plan` shows it, `pigsty apply --changed` carries it out")


def test_the_same_edit_again_is_no_news() -> None:
    fact = decided(rule, automatic).fact
    again = decided(rule, automatic, settled=fact)
    assert (again.stages, again.fact) == ((), None)
    assert "already" in again.why
    assert decided(rule, settled=fact).fact != fact, "another edit is"


def test_an_edit_that_touches_nothing_is_told_and_settled() -> None:
    found = decided(automatic)
    assert (found.stages, found.why) == ((), "the edit touches no host's states")
    assert found.fact


@pytest.mark.parametrize("edits", [(without_third,), (without_third, rule)])
def test_what_would_need_a_person_is_never_done_by_itself(edits: tuple[Edit, ...]) -> None:
    found = decided(automatic, *edits)
    assert found.stages == ()
    assert "Nothing is done by itself" in found.why
    assert "`pigsty pgsql rm pg-test pg-test-3`" in found.why


def test_a_user_that_is_no_longer_declared_is_named_and_the_rest_is_done() -> None:
    found = decided(automatic, rule, lambda data: cluster(data)["vars"].update(pg_users=[]))
    assert found.stages
    assert not any("absent" in str(step.sls) for stage in found.stages for step in stage)


def test_who_is_away_follows_later() -> None:
    found = decided(rule, automatic, minions=(ADMIN, FIRST))
    assert found.stages == ((Step((FIRST,), ("pgsql.hba",)),),)
    assert found.absent == (SECOND, THIRD)


def test_a_host_that_is_back_catches_up_with_what_was_edited() -> None:
    now = edited(rule, automatic)
    mine = replace(touched(now), hosts=touched(now).hosts[1:2])
    found = react.decide("node.join", SECOND, replace(truth(now), change=mine), "applied")
    assert found.stages == (
        (Step((SECOND,), ("pgsql.hba", "pgsql.pgbouncer")),),
        (Step((SECOND,), ("pgsql.hba",)),),
    )


def test_a_host_that_is_back_gets_no_edit_that_a_person_is_to_apply() -> None:
    found = react.decide("node.join", SECOND, truth(edited(rule)), "applied")
    assert found.stages == ((Step((SECOND,), ("pgsql.hba", "pgsql.pgbouncer")),),)
    assert found.fact == "applied", "it is still to be applied"


def test_before_the_first_apply_an_edit_is_only_an_edit() -> None:
    bare = replace(truth(edited(rule, automatic)), deployed=False)
    found = react.decide("inventory.changed", "inventory", bare, None)
    assert (found.stages, found.fact) == ((), None)
    assert "`pigsty apply` begins" in found.why


@pytest.mark.parametrize("kind", ["inventory.bad", "inventory.changed"])
def test_a_bad_one_is_told_and_does_nothing(kind: str) -> None:
    bad = replace(truth(edited(rule, automatic)), trouble="the inventory has an error in line 3")
    found = react.decide(kind, "inventory", bad, None)
    assert (found.stages, found.fact) == ((), None)
    assert found.why == "the inventory has an error in line 3; the last good one goes on being used"


def test_a_forged_word_of_a_bad_one_is_found_out() -> None:
    found = react.decide("inventory.bad", "inventory", truth(edited()), None)
    assert (found.stages, found.why) == ((), "the inventory is good")


def test_many_hosts_are_counted_not_listed() -> None:
    def many(data: dict[str, Any]) -> None:
        hosts = {f"10.9.9.{n}": {"nodename": f"n{n}"} for n in range(1, 30)}
        data["all"]["children"]["more"] = {"hosts": hosts}

    assert "n1, n2, n3, n4, n5 and 24 more" in decided(many).why


# -- reconcile -----------------------------------------------------------------------------------


def test_an_edit_that_no_event_told_is_found_once(journal: Journal) -> None:
    for host in ALL:
        journal.settle("node.join", host, "applied", 1.0)
    now = truth(edited(rule))
    assert worker.reconcile(journal, now, 100.0) == 1
    assert [(one.kind, one.subject) for one in journal.open()] == [
        ("inventory.changed", "inventory")
    ]
    reaction = journal.take(100.0)
    assert reaction is not None
    fact = react.decide("inventory.changed", "inventory", now, None).fact
    journal.end(reaction, "done", "told", 101.0, settled=fact)
    assert worker.reconcile(journal, now, 102.0) == 0
    assert worker.reconcile(journal, truth(edited(rule, automatic)), 103.0) == 1
