"""An edit of the inventory: planned, applied to just whom it touches; a bad one harms nobody."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from edit import PIGSTY, Inventory
from expect import Cluster, Dsn, eventually

from pigsty_cli.exitcodes import REFUSED

MEMBERS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")
RULE = {"title": "an edit", "user": "test", "db": "test", "addr": "10.98.98.0/24", "auth": "pwd"}
USER = {"name": "dbuser_edit", "password": "Edit.Of.Inventory", "pgbouncer": True,
        "roles": ["dbrole_readwrite"]}  # fmt: skip


def _with_rule(sandbox: Any) -> set[str]:
    """The members in whose file the rule of the edit stands."""
    return {
        host
        for host in MEMBERS
        if "10.98.98.0/24" in sandbox.node(host).run(["cat", "/pg/conf/pg_hba.conf"])[1]
    }


def _told(admin: Any, begin: float, kind: str) -> list[dict[str, Any]]:
    """The lines about edits since a moment that have ended."""
    lines = admin.pigsty("events", "inventory", "--since", "10m")
    return [x for x in lines if x["kind"] == kind and x["at"] >= begin and x["state"] == "done"]


def _drift(admin: Any, host: str) -> dict[str, Any]:
    """The line about the latest look at a host."""
    lines = admin.pigsty("events", host, "--since", "10m")
    return [line for line in lines if line["kind"] == "drift"][-1]


@pytest.fixture
def settled(admin: Any, whole: Cluster, inventory: Inventory) -> Iterator[Inventory]:
    """Hosts that are as the inventory says, before and after."""
    eventually("what went before is dealt with", admin.quiet, "reactions end")
    admin.pigsty("apply", "--changed", "--yes")
    yield inventory
    inventory.undo()
    eventually("reactions have ended", admin.quiet, "reactions end")
    admin.pigsty("apply", "--changed", "--yes")


def test_an_edit_is_planned_and_carried_out_where_it_touches_something(
    sandbox: Any, admin: Any, settled: Inventory
) -> None:
    begin = time.time()
    settled.cluster("pg-test", pg_hba_rules=[RULE])
    plan = admin.pigsty("plan")
    assert [(h["host"], h["states"]) for h in plan["hosts"]] == [
        (host, ["pgsql.hba"]) for host in MEMBERS
    ]
    told = eventually(
        "the edit is told", lambda: _told(admin, begin, "inventory.changed"), "an edit is seen"
    )
    assert "`pigsty apply --changed` carries it out" in told[0]["outcome"]
    assert _with_rule(sandbox) == set(), "nobody has said that it be applied by itself"
    rows = admin.pigsty("apply", "--changed", "--yes")
    assert [(r["host"], [c["id"] for c in r["changes"]]) for r in rows] == [
        (host, ["pgsql-hba"]) for host in MEMBERS
    ]
    assert _with_rule(sandbox) == set(MEMBERS)
    assert admin.pigsty("plan")["hosts"] == []


def test_a_rule_and_a_user_are_applied_by_themselves_within_seconds(
    sandbox: Any,
    admin: Any,
    pg_test: Cluster,
    settled: Inventory,
    report: Callable[[str, float, str], None],
) -> None:
    settled.edit(lambda data: data["all"]["vars"].update(pigsty_auto_apply=True))
    eventually("it is told", lambda: admin.pigsty("plan")["hosts"] == [], "an edit is seen")
    begin = time.time()
    settled.cluster("pg-test", pg_hba_rules=[RULE])
    eventually(
        "all members have the rule",
        lambda: _with_rule(sandbox) == set(MEMBERS),
        "an edit is applied by itself",
    )
    report("edit of an HBA rule to all members", time.time() - begin, "s")
    leader = pg_test.leader()["host"]
    fresh = Dsn(leader, 6432, "test", USER["name"], USER["password"])
    begin = time.time()

    def more(data: dict[str, Any]) -> None:
        data["all"]["children"]["pg-test"]["vars"]["pg_users"].append(USER)

    settled.edit(more)
    eventually(
        "the user logs in through the pooler",
        lambda: fresh.ask("SELECT 1") == 1,
        "an edit is applied by itself",
    )
    report("edit of a user to its first login", time.time() - begin, "s")

    def gone(data: dict[str, Any]) -> None:
        users = data["all"]["children"]["pg-test"]["vars"]["pg_users"]
        users[-1] = {"name": USER["name"], "state": "absent"}

    settled.edit(gone)
    owner = Dsn(leader, 5432, "test", "test", "test")
    eventually(
        "the user is gone",
        lambda: owner.ask("SELECT count(*) FROM pg_roles WHERE rolname = %s", USER["name"]) == 0,
        "an edit is applied by itself",
    )


def test_a_bad_edit_changes_nothing_and_reactions_go_on(
    sandbox: Any, admin: Any, settled: Inventory
) -> None:
    begin = time.time()
    code, _out, err = admin.run(["sed", "-i", "s/pg_seq: 2/pg_seq: two/", PIGSTY])
    assert code == 0, err
    told = eventually(
        "the mistake is told", lambda: _told(admin, begin, "inventory.bad"), "an edit is seen"
    )
    assert "the last good one goes on being used" in told[0]["outcome"]
    status = admin.pigsty("status")["inventory"]
    assert (status["valid"], status["served"]) == (False, "the last good one")
    code, out, err = admin.run(["pigsty", "apply", "--yes"])
    assert code == REFUSED, out + err
    # States run all the same, with what was good before: here, nothing is to be done.
    code, out, err = admin.run(["salt", MEMBERS[1], "state.apply", "pgsql.hba", "--out=json"])
    assert code == 0, out + err
    assert all(s["result"] and not s["changes"] for s in json.loads(out)[MEMBERS[1]].values())


def test_what_somebody_edits_by_hand_is_drift_and_set_right_where_that_is_allowed(
    sandbox: Any, admin: Any, settled: Inventory
) -> None:
    host = MEMBERS[1]
    node = sandbox.node(host)
    (before,) = admin.pigsty("drift", host, "--now")
    assert before["states"] == []
    code, _out, err = node.run(["sed", "-i", "$ a # edited by hand", "/pg/conf/pg_hba.conf"])
    assert code == 0, err
    (row,) = admin.pigsty("drift", host, "--now")
    assert row["states"] == ["pgsql-hba"]
    drifted = "pg-test-2 has drifted: a state differs: pgsql-hba"
    assert _drift(admin, host)["outcome"] == drifted
    assert "edited by hand" in node.run(["cat", "/pg/conf/pg_hba.conf"])[1], (
        "a look changes nothing"
    )
    settled.edit(lambda data: data["all"]["vars"].update(pigsty_self_heal=["pgsql"]))
    settled.cluster("pg-test", pg_hba_rules=[RULE])
    (row,) = admin.pigsty("drift", host, "--now")
    assert row["states"] == ["pgsql-hba"]
    assert "an edit that isn't applied touches it" in _drift(admin, host)["outcome"]
    assert _with_rule(sandbox) == set(), "healing has carried out an edit"

    settled.cluster("pg-test", pg_hba_rules=[])
    (row,) = admin.pigsty("drift", host, "--now")
    assert row["states"] == []
    assert "edited by hand" not in node.run(["cat", "/pg/conf/pg_hba.conf"])[1]
    told = _drift(admin, host)
    assert told["outcome"].startswith(f"{drifted}; applied pgsql")
    assert told["detail"]["changed"] == {host: ["pgsql-hba"]}
