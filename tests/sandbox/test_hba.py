"""Access rules follow the members' live roles; a file that the server refuses is never loaded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edit import Inventory
from expect import Cluster, Dsn, eventually

HOSTS = {f"pg-test-{number}": f"10.10.10.1{number}" for number in (1, 2, 3)}
RULES = [
    {"title": "nobody of the bridge writes as test", "role": "primary", "user": "test",
     "db": "test", "addr": "10.10.10.1/32", "auth": "deny", "order": 1},
]  # fmt: skip


def _changed(admin: Any, *words: str) -> dict[str, set[str]]:
    """Run `pigsty pgsql hba pg-test`; return what changed on each member."""
    rows = admin.pigsty("pgsql", "hba", "pg-test", *words)
    return {
        row["name"]: {path for change in row["changes"] for path in change["changes"]}
        for row in rows
    }


def _lets_in(host: str) -> bool:
    """Whether PostgreSQL of a member takes the user `test` from this machine."""
    import psycopg

    try:
        return bool(Dsn(host, 5432, "test", "test", "test").ask("SELECT 1"))
    except psycopg.OperationalError as error:
        assert "pg_hba.conf rejects" in str(error)
        return False


@pytest.fixture
def ruled(admin: Any, inventory: Inventory) -> Any:
    """A rule for whoever leads; it is gone from every member afterwards."""
    inventory.cluster("pg-test", pg_hba_rules=RULES)
    yield inventory
    inventory.cluster("pg-test", pg_hba_rules=[])
    _changed(admin)


def test_a_rule_for_the_primary_holds_where_the_primary_is(
    admin: Any, whole: Cluster, ruled: Inventory
) -> None:
    leader = whole.leader()["member"]
    audit = _changed(admin, "--test")
    assert {name for name, paths in audit.items() if paths} == {leader}
    assert _changed(admin) == audit
    assert not any(_changed(admin).values())
    assert {name for name, host in HOSTS.items() if not _lets_in(host)} == {leader}
    shown = admin.pigsty("pgsql", "hba", "pg-test", "--show")
    mine = [row for row in shown if row["title"] == RULES[0]["title"]]
    assert [(row["member"], row["server"]) for row in mine] == [(leader, "postgres")]
    assert mine[0]["source"].startswith("pg_hba_rules[0] (line ")
    # The lead moves, and the rule with it, by itself.
    admin.pigsty("pgsql", "switchover", "pg-test", "--yes")
    after = whole.leader()["member"]
    assert after != leader
    eventually(
        "the rule holds where the primary is",
        lambda: {name for name, host in HOSTS.items() if not _lets_in(host)} == {after},
        "a change of the leader is followed",
    )
    assert not any(_changed(admin).values())


def test_a_file_that_the_server_refuses_is_taken_back(
    sandbox: Any, admin: Any, turned: Cluster, ruled: Inventory
) -> None:
    node = sandbox.node(turned.leader()["host"])
    before = node.run(["cat", "/pg/conf/pg_hba.conf"])[1]
    # Validation knows the words of a line; only the server knows all of them.
    odd = {"title": "odd", "rules": ["host all all 10.10.10.1/32 scram-sha-256 nonsense=1"]}
    ruled.cluster("pg-test", pg_hba_rules=[odd])
    code, out, err = admin.run(["pigsty", "pgsql", "hba", "pg-test", "-o", "json"])
    assert code == 1, out + err
    comments = [f["comment"] for row in json.loads(out) for f in row["failures"]]
    assert len(comments) == 3 and all("refuses" in comment for comment in comments)
    assert node.run(["cat", "/pg/conf/pg_hba.conf"])[1] == before
    assert _lets_in("10.10.10.11")
