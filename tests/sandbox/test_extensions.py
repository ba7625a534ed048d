"""Extensions: packages, libraries with the restart that they need, CREATE and UPDATE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edit import Inventory
from expect import Cluster, Dsn

from pigsty_cli.exitcodes import PARTIAL

HOSTS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")
ADMIN = "10.10.10.10"
LIBRARIES = "pg_stat_statements, auto_explain"


def _own(dsn: Dsn, host: str) -> Dsn:
    return Dsn(host, 5432, dsn.dbname, dsn.user, dsn.password)


def _todo(admin: Any, cluster: Cluster, name: str) -> dict[str, str]:
    """What is to be done about an extension, by member."""
    rows = admin.pigsty("pgsql", "ext", cluster.name, name)
    return {row["member"]: row["todo"] for row in rows}


def _libraries(dsn: Dsn) -> set[str]:
    query = "SELECT current_setting('shared_preload_libraries')"
    return {_own(dsn, host).ask(query) for host in HOSTS}


def _declare(extensions: list[Any]) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        variables = document["all"]["children"]["pg-test"]["vars"]
        variables["pg_extensions"] = ["pg_cron", "hypopg"]
        variables["pg_libs"] = f"{LIBRARIES}, pg_cron"
        variables["pg_databases"][0]["extensions"] = extensions

    return change


@contextmanager
def _withheld(node: Any, library: str) -> Iterator[None]:
    """Let a library be missing on a node, whatever packages bring."""
    path = f"/usr/lib/postgresql/17/lib/{library}.so"
    divert = ["dpkg-divert", "--local", "--rename", "--divert", f"{path}.withheld"]
    assert node.run([*divert, "--add", path])[0] == 0
    try:
        yield
    finally:
        assert node.run([*divert, "--remove", path])[0] == 0


def test_an_extension_comes_from_the_inventory_to_the_database_and_its_library_by_a_restart(
    admin: Any, turned: Cluster, sandbox: Any, test_dsn: Dsn, inventory: Inventory
) -> None:
    leader = turned.leader()
    inventory.edit(_declare([{"name": "hypopg", "version": "1.4.0"}]))
    assert "infra-repo" in inventory.apply(ADMIN)[ADMIN]
    # A library that one member can't load is told by all, and reaches nobody's configuration.
    lacking = next(member for member in turned.members() if member["role"] != "primary")
    with _withheld(sandbox.node(lacking["host"]), "pg_cron"):
        code, out, _err = admin.run(["pigsty", "apply", turned.name, "--yes"])
        assert code == PARTIAL
        assert f"{lacking['member']} can't load pg_cron" in out
        (row,) = admin.pigsty("pgsql", "config", turned.name, "shared_preload_libraries")
        assert row["dcs"] == LIBRARIES
    changed = inventory.apply(turned.name)
    # The list was written once, by the one that leads; nobody was restarted.
    assert [host for host, ids in changed.items() if "pgsql-dynamic" in ids] == [leader["host"]]
    assert _libraries(test_dsn) == {LIBRARIES}
    assert set(_todo(admin, turned, "pg_cron").values()) == {"restart"}
    assert inventory.unchanged(ADMIN, turned.name)
    done = admin.pigsty("pgsql", "restart", turned.name, "--pending", "--yes")
    assert done["steps"][-1]["member"] == leader["member"]
    assert _libraries(test_dsn) == {f"{LIBRARIES}, pg_cron"}
    assert set(_todo(admin, turned, "pg_cron").values()) == {""}
    assert turned.leader()["member"] == leader["member"]
    # Without a version it stays where it is, until somebody asks for the update.
    inventory.edit(_declare(["hypopg"]))
    assert all("--update" in todo for todo in _todo(admin, turned, "hypopg").values())
    (trial,) = admin.pigsty("pgsql", "ext", turned.name, "--update", "--test")
    (update,) = admin.pigsty("pgsql", "ext", turned.name, "--update")
    assert trial == update and update["what"] == "extension hypopg in test"
    assert update["old"] == "1.4.0" and update["error"] == ""
    assert admin.pigsty("pgsql", "ext", turned.name, "--update") == []
    # What is not declared any more stays; this sandbox gets it out of the way.
    drop = ["runuser", "-u", "postgres", "--", "psql", "-qd", "test", "-c", "DROP EXTENSION hypopg"]
    assert sandbox.node(leader["host"]).run(drop)[0] == 0


def test_an_unknown_extension_is_named_before_anything_is_touched(
    admin: Any, inventory: Inventory
) -> None:
    inventory.cluster("pg-test", pg_extensions=["pgvectr"], pg_libs="pg_stat_statement")
    code, _out, err = admin.run(["pigsty", "pgsql", "ext", "pg-test", "--apply"])
    assert code == 4
    assert "'pgvectr'" in err and "did you mean pgvector?" in err
    assert "did you mean pg_stat_statements?" in err
