"""Every service answers through every member, and behind each port stands the promised role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from edit import Inventory
from expect import Cluster, Dsn, eventually

#: A node that is no member, in a group whose HAProxy serves others, too: on ports of its own.
PROXY, GROUP = "10.10.10.10", "infra"
SERVICES = [
    {"name": "primary", "port": 15433, "dest": "postgres", "check": "/primary", "selector": "[]"},
    {"name": "replica", "port": 15434, "dest": "postgres", "check": "/replica", "selector": "[]"},
]
MEMBERS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")


def _role_behind(dsn: Dsn) -> str:
    return "replica" if dsn.ask("SELECT pg_is_in_recovery()") else "primary"


def _server_behind(dsn: Dsn) -> str:
    return str(dsn.ask("SELECT host(inet_server_addr())"))


def test_both_clusters_have_one_leader_and_streaming_replicas(
    pg_meta: Cluster, pg_test: Cluster
) -> None:
    assert pg_meta.healthy(1)
    assert pg_test.healthy(3)


@pytest.mark.parametrize("entry", MEMBERS)
@pytest.mark.parametrize(
    ("port", "role"), [(5433, "primary"), (5434, "replica"), (5436, "primary"), (5438, "replica")]
)
def test_service_leads_to_its_role_through_every_member(
    test_dsn: Dsn, entry: str, port: int, role: str
) -> None:
    dsn = Dsn(entry, port, test_dsn.dbname, test_dsn.user, test_dsn.password)
    eventually(
        f"{entry}:{port} answers as {role}",
        lambda: _role_behind(dsn) == role,
        "services settle",
    )


def test_offline_service_reaches_the_offline_replica(test_dsn: Dsn, pg_test: Cluster) -> None:
    leader = pg_test.leader()["host"]
    dsn = Dsn("10.10.10.11", 5438, test_dsn.dbname, test_dsn.user, test_dsn.password)
    if leader != "10.10.10.13":
        assert _server_behind(dsn) == "10.10.10.13"


def test_single_node_cluster_serves_its_database(meta_dsn: Dsn) -> None:
    assert _role_behind(meta_dsn) == "primary"
    assert meta_dsn.ask("SELECT current_database()") == "meta"


def test_a_wrong_password_is_refused(test_dsn: Dsn) -> None:
    import psycopg

    wrong = Dsn(test_dsn.host, 5433, test_dsn.dbname, test_dsn.user, "not-the-password")
    with pytest.raises(psycopg.OperationalError):
        wrong.ask("SELECT 1")


def _written(admin: Any, *words: str) -> dict[str, list[str]]:
    """Run `pigsty pgsql svc pg-test --apply`; return the files that changed, by host."""
    rows = admin.pigsty("pgsql", "svc", "pg-test", "--apply", *words)
    return {row["host"]: [path for c in row["changes"] for path in c["changes"]] for row in rows}


@pytest.fixture
def elsewhere(admin: Any, turned: Cluster, inventory: Inventory, test_dsn: Dsn) -> Iterator[Any]:
    """Where a service of pg-test is while a group of its own carries them: a function of ports."""
    inventory.cluster("pg-test", pg_service_provider=GROUP, pg_default_services=SERVICES)
    yield lambda port: Dsn(PROXY, port, test_dsn.dbname, test_dsn.user, test_dsn.password)
    inventory.undo()
    inventory.apply(PROXY, "-m", "node")
    _written(admin)


def test_a_group_of_its_own_carries_the_services_and_drains_a_member(
    sandbox: Any, admin: Any, turned: Cluster, elsewhere: Any
) -> None:
    audit = _written(admin, "--test")
    assert set(audit) == {PROXY, *MEMBERS} and all(audit.values())
    assert _written(admin) == audit
    assert not any(_written(admin).values())
    for host in MEMBERS:
        files = ["sh", "-c", "ls /etc/haproxy/conf.d/pg-test-*"]
        assert sandbox.node(host).run(files)[1] == "", "members carry them no more"
    hosts = {m["member"]: m["host"] for m in turned.members() if m["role"] != "primary"}
    (drained, gone), (_, kept) = hosts.items()

    def behind(port: int) -> set[str]:
        return {_server_behind(elsewhere(port)) for _ in range(4)}

    def serve(port: int, *servers: str) -> None:
        what = f"{', '.join(servers)} behind {port}"
        eventually(what, lambda: behind(port) == set(servers), "services settle")

    serve(15433, turned.leader()["host"])
    serve(15434, gone, kept)
    trial = admin.pigsty("pgsql", "svc", "pg-test", "--drain", drained, "--test")
    assert [(row["host"], row["new"]) for row in trial] == [(PROXY, "drain")]
    assert admin.pigsty("pgsql", "svc", "pg-test", "--drain", drained) == trial
    assert admin.pigsty("pgsql", "svc", "pg-test", "--drain", drained) == []
    assert behind(15434) == {kept}
    admin.pigsty("pgsql", "svc", "pg-test", "--ready", drained)
    serve(15434, gone, kept)
    # The lead moves, and no file has to follow it.
    admin.pigsty("pgsql", "switchover", "pg-test", "--yes")
    serve(15433, turned.leader()["host"])
    assert not any(_written(admin).values())
