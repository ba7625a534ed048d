"""A cluster shrinks and grows; whoever stays is told, and clients notice nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from edit import Inventory
from expect import DEADLINES, Cluster, Dsn, Writer

from pigsty_cli.exitcodes import REFUSED, USAGE

#: Files in which members name each other.
NAMING = "grep -rl {} /etc/haproxy/conf.d /etc/hosts /etc/patroni /pg/conf/pg_hba.conf"


def _without(host: str, primary: str = "") -> Callable[[dict[str, Any]], None]:
    """Return an edit: a host leaves pg-test, which gets another declared primary if need be."""

    def edit(document: dict[str, Any]) -> None:
        hosts = document["all"]["children"]["pg-test"]["hosts"]
        del hosts[host]
        if primary:
            hosts[primary]["pg_role"] = "primary"

    return edit


def _refused(admin: Any, *words: str, code: int = REFUSED) -> str:
    """Run `pigsty pgsql rm`, which has to refuse; return what it says."""
    found, out, err = admin.run(["pigsty", "pgsql", "rm", *words], stdin="")
    assert found == code, (words, out, err)
    return str(err)


def _left_on(node: Any) -> str:
    """What is left of a member on its machine, by path."""
    paths = ["/pg", "/data/postgres/pg-*", "/etc/patroni/config.yml", "/etc/haproxy/conf.d/pg-*",
             "/etc/cron.d/pigsty-pgsql", "/var/lib/pigsty/pgsql.json"]  # fmt: skip
    _code, out, _err = node.run(
        ["sh", "-c", f"ls -d {' '.join(paths)} 2>/dev/null; pgrep -x postgres"]
    )
    return str(out)


def _shrinks_and_grows(
    sandbox: Any, admin: Any, cluster: Cluster, entry: Dsn, inventory: Inventory, member: Any
) -> dict[str, float]:
    """Remove a replica and add it again while a client writes; return how long each took."""
    leader, gone = cluster.leader(), member["host"]
    took = {}
    # Rules of a role, and the first backup on its own machine, follow the lead.
    inventory.apply(cluster.name)
    with Writer(entry) as writer:
        refusal = _refused(admin, cluster.name, leader["member"], "--yes")
        assert f"{leader['member']} leads" in refusal and "switchover" in refusal
        inventory.edit(_without(gone, leader["host"] if member["declared"] == "primary" else ""))
        # Nobody types the cluster's name.
        _refused(admin, cluster.name, member["member"])
        assert cluster.healthy(3)
        begin = time.monotonic()
        admin.pigsty("pgsql", "rm", cluster.name, member["member"], "--yes")
        took["removed"] = time.monotonic() - begin
        assert cluster.healthy(2) and cluster.leader()["member"] == leader["member"]
        for other in cluster.members():
            text = NAMING.format(f"-e {member['member']} -e {gone}")
            assert sandbox.node(other["host"]).run(["sh", "-c", text])[1] == ""
        assert _left_on(sandbox.node(gone)) == ""
        assert inventory.unchanged(cluster.name)
        assert "unknown member" in _refused(admin, cluster.name, member["member"], code=USAGE)
        inventory.undo()
        begin = time.monotonic()
        done = admin.pigsty("pgsql", "add", cluster.name)
        took["added"] = time.monotonic() - begin
        assert done["added"] == [member["member"]]
        assert cluster.healthy(3) and cluster.leader()["member"] == leader["member"]
        writer.wait_for_rows(50)
        assert writer.missing() == set()
        assert writer.longest_stall() <= DEADLINES["a member comes or goes"]
    assert inventory.unchanged(cluster.name)
    code, _out, err = admin.run(["pigsty", "pgsql", "add", cluster.name])
    assert code == 0 and "there is nobody to add" in err
    return took


def test_a_replica_leaves_and_comes_back_while_clients_write(
    sandbox: Any,
    admin: Any,
    whole: Cluster,
    entry: Dsn,
    inventory: Inventory,
    report: Callable[[str, float, str], None],
) -> None:
    replica = [m for m in whole.members() if m["role"] != "primary"][-1]
    took = _shrinks_and_grows(sandbox, admin, whole, entry, inventory, replica)
    for what, seconds in took.items():
        report(f"replica {what}", seconds, "s")
