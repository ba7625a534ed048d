"""The store where clusters keep who leads grows and shrinks, while a client writes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from edit import Inventory
from expect import DEADLINES, Cluster, Dsn, Writer, eventually

FIRST = "10.10.10.10"
NEW = {"10.10.10.11": 2, "10.10.10.12": 3}
HOSTS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")


def _members(admin: Any) -> dict[str, dict[str, Any]]:
    """The members by the cluster's own word."""
    rows = admin.pigsty("etcd", "list")
    return {row["host"]: row for row in rows if row["id"]}


def _asked_by(sandbox: Any, host: str) -> set[str]:
    """Whom the Patroni of a host asks for the store, by the file that it has read."""
    _code, text, _err = sandbox.node(host).run(["cat", "/etc/patroni/config.yml"])
    return {address.rpartition(":")[0] for address in yaml.safe_load(text)["etcd3"]["hosts"]}


def _orchestrated(admin: Any, name: str, **pillar: Any) -> tuple[int, dict[str, Any]]:
    """Run an orchestration; return its exit code and its states' results by id."""
    command = ["salt-run", "state.orchestrate", f"orch.{name}", "--out", "json"]
    code, out, err = admin.run([*command, f"pillar={json.dumps(pillar)}"], timeout=600)
    try:
        (states,) = json.loads(out)["data"].values()
    except (ValueError, KeyError):
        raise AssertionError(out + err) from None
    return code, {state["__id__"]: state for state in states.values()}


def _declare(document: dict[str, Any]) -> None:
    document["all"]["children"]["etcd"]["hosts"] |= {h: {"etcd_seq": n} for h, n in NEW.items()}


@pytest.fixture
def one(sandbox: Any, admin: Any, inventory: Inventory) -> Iterator[Inventory]:
    """The inventory of a store of one member; whoever joins meanwhile leaves afterwards."""
    yield inventory
    sandbox.node(max(NEW)).run(
        ["sh", "-c", "test ! -e /etc/etcd/etcd.conf || systemctl start etcd"]
    )
    inventory.undo()
    for host in set(_members(admin)) - {FIRST}:
        admin.pigsty("etcd", "rm", host, "--yes")


def test_etcd_grows_to_three_loses_one_for_a_while_and_shrinks_to_one(
    sandbox: Any,
    admin: Any,
    whole: Cluster,
    entry: Dsn,
    one: Inventory,
    report: Callable[[str, float, str], None],
) -> None:
    leader, lost = whole.leader(), max(NEW)
    with Writer(entry) as writer:
        one.edit(_declare)
        begin = time.monotonic()
        admin.pigsty("etcd", "add")
        report("etcd grows from one to three", time.monotonic() - begin, "s")
        members = _members(admin)
        assert set(members) == {FIRST, *NEW}
        # None is a learner any more.
        assert sorted(row["role"] for row in members.values()) == ["leader", "member", "member"]
        assert {row["health"] for row in members.values()} == {"ok"}
        for host in (FIRST, *HOSTS):
            assert _asked_by(sandbox, host) == set(members)

        # Two of three are a majority. A running Patroni goes on to ask the first one for minutes.
        sandbox.node(lost).run(["systemctl", "stop", "etcd"])
        eventually("pg-test answers", lambda: whole.healthy(3), "services settle")
        admin.pigsty("pgsql", "switchover", whole.name, "--yes")
        sandbox.node(lost).run(["systemctl", "start", "etcd"])
        eventually(
            "the member is back",
            lambda: _members(admin)[lost]["health"] == "ok",
            "services settle",
        )
        assert whole.leader()["member"] != leader["member"]

        code, _out, err = admin.run(["pigsty", "etcd", "rm", "etcd-3", "--yes"])
        assert code == 4 and "take it out there first" in err
        one.undo()
        begin = time.monotonic()
        code, done = _orchestrated(admin, "etcd", leave=["etcd-2", "etcd-3"])
        report("etcd shrinks from three to one", time.monotonic() - begin, "s")
        assert code == 0, done
        assert (done["orch-etcd-add"]["changes"], done["orch-etcd-rm"]["result"]) == ({}, True)
        assert set(_members(admin)) == {FIRST}
        for host in (FIRST, *HOSTS):
            assert _asked_by(sandbox, host) == {FIRST}
        for host in NEW:
            left = "ls -d /data/etcd /etc/etcd/etcd.conf 2>/dev/null; systemctl is-active etcd"
            assert sandbox.node(host).run(["sh", "-c", left])[1].strip() == "inactive"
        writer.wait_for_rows(50)
        assert writer.missing() == set()
        stall = writer.longest_stall()
    report("etcd grows, loses one, shrinks: longest stall of writes", stall, "s")
    # The switchover is the longest of it.
    assert stall <= DEADLINES["switchover"]
    assert whole.healthy(3)


def test_the_last_member_of_etcd_never_leaves(admin: Any, whole: Cluster) -> None:
    code, done = _orchestrated(admin, "etcd", leave=["etcd-1"])
    said = done["orch-etcd-rm"]
    assert code == 1 and said["result"] is False and "stands in the group" in said["comment"]
    code, done = _orchestrated(admin, "etcd", leave=["etcd-9"])
    assert code == 1 and "etcd-9" in done["orch-etcd-rm"]["comment"]
    assert set(_members(admin)) == {FIRST}
