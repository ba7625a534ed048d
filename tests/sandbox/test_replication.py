"""Copies of a cluster: how many a commit waits for, and that none is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edit import Inventory
from expect import DEADLINES, Cluster, Dsn, Writer, eventually


def test_no_acknowledged_row_is_lost_in_quorum_mode(
    sandbox: Any,
    admin: Any,
    turned: Cluster,
    inventory: Inventory,
    entry: Dsn,
    report: Callable[[str, float, str], None],
) -> None:
    old = turned.leader()
    inventory.cluster(turned.name, pg_sync_mode="quorum")
    changed = inventory.apply(turned.name)
    assert [host for host, ids in changed.items() if "pgsql-dynamic" in ids] == [old["host"]]
    assert inventory.unchanged(turned.name)
    eventually(
        "every replica has a vote",
        lambda: sum(m["role"] == "quorum_standby" for m in turned.members()) == 2,
        "services settle",
    )
    node = sandbox.node(old["host"])
    with Writer(entry) as writer:
        node.kill()
        try:
            writer.wait_for_rows(50, "norm failover")
            lost, stall = writer.missing(), writer.longest_stall()
        finally:
            node.start()
    report("power cut of the primary, quorum: longest stall", stall, "s")
    assert lost == set() and stall < DEADLINES["norm failover"]
    eventually("all stream", lambda: turned.healthy(3), "old primary is a replica again")
    eventually("its minion answers", lambda: admin.reaches(old["host"]), "minion answers")
