"""Real failures under a client that writes: what is promised, and that it is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from expect import DEADLINES, Cluster, Dsn, Writer, eventually


def _entry_without(dsn: Dsn, host: str) -> Dsn:
    """The same service through members that stay up: any member is an entry point."""
    others = [h for h in ("10.10.10.11", "10.10.10.12", "10.10.10.13") if h != host]
    return Dsn(",".join(others), 5433, dsn.dbname, dsn.user, dsn.password)


@pytest.fixture
def healthy(pg_test: Cluster) -> Iterator[Cluster]:
    """The cluster, whole before and after the test."""
    eventually("pg-test is whole", lambda: pg_test.healthy(3), "old primary is a replica again")
    yield pg_test
    eventually("pg-test is whole", lambda: pg_test.healthy(3), "old primary is a replica again")


def test_writes_go_on_through_port_5433_within_45_seconds_of_the_power_cut(
    sandbox: Any, healthy: Cluster, test_dsn: Dsn, report: Any
) -> None:
    old = healthy.leader()
    node = sandbox.node(old["host"])
    with Writer(_entry_without(test_dsn, old["host"])) as writer:
        node.kill()
        try:
            writer.wait_for_rows(50, "norm failover")
            stall = writer.longest_stall()
            lost = writer.missing()
            new = eventually("a new leader is known", healthy.leader, "services settle")
        finally:
            node.start()
    report("power cut of the primary: longest stall", stall, "s")
    report("power cut of the primary, asynchronous: acknowledged rows lost", len(lost), "rows")
    assert stall < DEADLINES["norm failover"]
    assert new["member"] != old["member"]
    assert new["timeline"] > old["timeline"]
    began = time.monotonic()
    rejoined = eventually(
        f"{old['member']} is a replica again by itself",
        lambda: [
            m
            for m in healthy.members()
            if m["member"] == old["member"] and m["role"] != "primary" and m["state"] == "streaming"
        ],
        "old primary is a replica again",
    )
    report("old primary: from power-on to streaming", time.monotonic() - began, "s")
    assert rejoined[0]["timeline"] == new["timeline"]


def test_no_acknowledged_row_is_lost_in_synchronous_mode(
    sandbox: Any, healthy: Cluster, test_dsn: Dsn, synchronous: None, report: Any
) -> None:
    old = healthy.leader()
    node = sandbox.node(old["host"])
    with Writer(_entry_without(test_dsn, old["host"])) as writer:
        node.kill()
        try:
            writer.wait_for_rows(50, "norm failover")
            lost = writer.missing()
            stall = writer.longest_stall()
        finally:
            node.start()
    report("power cut of the primary, synchronous: longest stall", stall, "s")
    assert len(writer.acknowledged) > 70
    assert lost == set()


@pytest.fixture
def synchronous(sandbox: Any, healthy: Cluster) -> Iterator[None]:
    """Patroni's synchronous mode for the time of a test, with a synchronous standby chosen."""

    def switch(on: str) -> None:
        leader = sandbox.node(healthy.leader()["host"])
        code, out, err = leader.run(
            [
                *("patronictl", "-c", "/etc/patroni/config.yml", "edit-config", "pg-test"),
                *("--force", "-s", f"synchronous_mode={on}"),
            ]
        )
        assert code == 0, out + err

    switch("true")
    eventually(
        "a synchronous standby is chosen",
        lambda: any(m["role"] in ("sync_standby", "quorum_standby") for m in healthy.members()),
        "services settle",
    )
    yield
    eventually("pg-test is whole", lambda: healthy.healthy(3), "old primary is a replica again")
    switch("null")
    eventually(
        "no synchronous standby is left",
        lambda: not any(m["role"] == "sync_standby" for m in healthy.members()),
        "services settle",
    )


def test_a_primary_cut_off_from_the_others_stops_taking_writes(
    sandbox: Any, healthy: Cluster, test_dsn: Dsn, report: Any
) -> None:
    old = healthy.leader()
    node = sandbox.node(old["host"])
    # Cut off from members and etcd, but not from us: we are a client on the wrong side.
    others = [h for h in sandbox.hosts if h != old["host"]]
    island = Dsn(old["host"], 5432, test_dsn.dbname, test_dsn.user, test_dsn.password)
    with Writer(_entry_without(test_dsn, old["host"])) as writer:
        node.partition(others)
        try:
            writer.wait_for_rows(50, "norm failover")
            eventually(
                "the cut-off primary is read-only or gone",
                lambda: _takes_no_writes(island),
                "cut-off primary demotes",
            )
            stall = writer.longest_stall()
        finally:
            node.heal()
    report("primary cut off from the others: longest stall", stall, "s")
    assert stall < DEADLINES["norm failover"]


def test_a_crashed_postgresql_serves_writes_again_within_45_seconds(
    sandbox: Any, healthy: Cluster, test_dsn: Dsn, report: Any
) -> None:
    node = sandbox.node(healthy.leader()["host"])
    with Writer(_entry_without(test_dsn, "none")) as writer:
        code, out, err = node.run(["sh", "-c", "kill -9 $(head -1 /pg/data/postmaster.pid)"])
        assert code == 0, out + err
        writer.wait_for_rows(50, "norm failover")
        stall = writer.longest_stall()
        assert writer.missing() == set()
    report("crash of the primary's PostgreSQL: longest stall", stall, "s")
    assert stall < DEADLINES["norm failover"]


def test_a_lost_replica_does_not_stop_writes(
    sandbox: Any, healthy: Cluster, test_dsn: Dsn, report: Any
) -> None:
    replica = next(m for m in healthy.members() if m["role"] != "primary")
    node = sandbox.node(replica["host"])
    with Writer(_entry_without(test_dsn, replica["host"])) as writer:
        node.kill()
        try:
            writer.wait_for_rows(200)
            stall = writer.longest_stall()
        finally:
            node.start()
        assert writer.errors == []
    report("power cut of a replica: longest stall of writes", stall, "s")


def test_writes_go_on_while_all_of_etcd_is_down(
    sandbox: Any, healthy: Cluster, admin: Any, test_dsn: Dsn, report: Any
) -> None:
    before = healthy.leader()
    with Writer(_entry_without(test_dsn, "none")) as writer:
        assert admin.run(["systemctl", "stop", "etcd"])[0] == 0
        try:
            # Longer than the leader's lease of 30 s: failsafe mode must have held it.
            end = time.monotonic() + 45
            while time.monotonic() < end:
                writer.wait_for_rows(50)
            stall = writer.longest_stall()
        finally:
            assert admin.run(["systemctl", "start", "etcd"])[0] == 0
        assert writer.errors == []
    report("etcd down for 45 s: longest stall of writes", stall, "s")
    eventually("pg-test is whole", lambda: healthy.healthy(3), "old primary is a replica again")
    assert healthy.leader() == before


def _takes_no_writes(dsn: Dsn) -> bool:
    import psycopg

    try:
        return bool(dsn.ask("SELECT pg_is_in_recovery()"))
    except psycopg.OperationalError:
        return True


def test_databases_go_on_while_the_salt_master_is_down(
    sandbox: Any, healthy: Cluster, admin: Any, test_dsn: Dsn
) -> None:
    with Writer(_entry_without(test_dsn, "none")) as writer:
        assert admin.run(["systemctl", "stop", "salt-master"])[0] == 0
        try:
            writer.wait_for_rows(100)
        finally:
            assert admin.run(["systemctl", "start", "salt-master"])[0] == 0
        assert writer.missing() == set()
        assert writer.errors == []
    eventually(
        "all minions are back",
        lambda: all(admin.reaches(host) for host in sandbox.hosts),
        "a master that was down has caught up",
    )
