"""Configuration: seen, changed, and refused by PostgreSQL itself."""

from __future__ import annotations

from typing import Any

from edit import Inventory
from expect import Cluster, Dsn, eventually

HOSTS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")


def _values(dsn: Dsn, name: str) -> list[str]:
    return [
        Dsn(host, 5432, dsn.dbname, dsn.user, dsn.password).ask(f"SHOW {name}") for host in HOSTS
    ]


def _row(admin: Any, cluster: Cluster, name: str) -> dict[str, Any]:
    (row,) = admin.pigsty("pgsql", "config", cluster.name, name)
    found: dict[str, Any] = row
    return found


def test_what_postgresql_refuses_is_told_and_everything_else_is_applied(
    admin: Any, turned: Cluster, test_dsn: Dsn, inventory: Inventory
) -> None:
    cost = "1.3" if _values(test_dsn, "random_page_cost")[0] != "1.3" else "1.4"
    bad = {"work_mem": "much", "nosuch": 1, "auto_explain.log_min_duration": "x"}
    inventory.cluster(turned.name, pg_parameters={**bad, "random_page_cost": cost})
    code, out, _err = admin.run(["pigsty", "pgsql", "config", turned.name, "--apply"])
    assert code != 0
    for words in (
        'invalid value for parameter "work_mem": "much"',
        'unrecognized configuration parameter "nosuch"',
        'invalid value for parameter "auto_explain.log_min_duration": "x"',
    ):
        assert out.count(words) == len(HOSTS), out
    eventually(
        "the good one is in force",
        lambda: _values(test_dsn, "random_page_cost") == [cost] * 3,
        "services settle",
    )
    assert turned.healthy(3)
    assert any("invalid value" in note for note in _row(admin, turned, "work_mem")["notes"])


def test_alter_system_is_kept_and_named(
    admin: Any, whole: Cluster, sandbox: Any, test_dsn: Dsn, inventory: Inventory
) -> None:
    leader = whole.leader()
    machine = sandbox.node(leader["host"])

    def alter(words: str) -> None:
        psql = ["runuser", "-u", "postgres", "--", "psql", "-qc", f"ALTER SYSTEM {words}"]
        assert machine.run([*psql, "-c", "SELECT pg_reload_conf()"])[0] == 0

    inventory.cluster(whole.name, pg_parameters={"work_mem": "7MB"})
    alter("SET work_mem = '5MB'")
    try:
        done = inventory.apply(whole.name)
        assert all("pgsql-patroni" in done[host] for host in HOSTS)
        row = _row(admin, whole, "work_mem")
        assert row["declared"] == "7MB" and row["runs"][leader["member"]] == "5MB"
        assert row["source"][leader["member"]] == "ALTER SYSTEM"
        assert row["notes"] == [
            f"ALTER SYSTEM (5MB) on {leader['member']} wins over what is declared"
        ]
        assert inventory.unchanged(whole.name)
    finally:
        alter("RESET work_mem")
    eventually(
        "all run with what is declared",
        lambda: _values(test_dsn, "work_mem") == ["7MB"] * 3,
        "services settle",
    )
