"""Every service answers through every member, and behind each port stands the promised role."""

from __future__ import annotations

import pytest
from expect import Cluster, Dsn, eventually

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
