"""Machines come and go: a person adds or removes one, and events bring about all that follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from edit import Inventory
from expect import Cluster, eventually

HOST, NAME = "10.10.10.13", "pg-test-3"
OTHER = "10.10.10.12"
GONE = "10.10.10.99"
#: A minion's files in which a machine calls itself another one.
IMPOSTOR = f"""id: {OTHER}
master: 10.10.10.10
pki_dir: /run/impostor/pki
cachedir: /run/impostor/cache
sock_dir: /run/impostor/sock
pidfile: /run/impostor/pid
log_file: /run/impostor/log
signing_algorithm: PKCS1v15-SHA224
encryption_algorithm: OAEP-SHA224
"""


def _row(admin: Any, host: str) -> dict[str, Any] | None:
    """What `pigsty node list` tells of a machine."""
    return next((row for row in admin.pigsty("node", "list") if row["host"] == host), None)


def _happened(admin: Any, subject: str, kind: str, after: float) -> dict[str, Any] | None:
    """The last reaction to something that has come to a good end since then."""
    found = [
        line
        for line in admin.pigsty("events", subject, "--since", "1h")
        if line["kind"] == kind and line["at"] >= after and line["state"] == "done"
    ]
    return found[-1] if found else None


def _impostors(admin: Any) -> set[str]:
    """Machines for whose impostors Prometheus has an alert, though it may not last yet."""
    alerts = admin.pigsty("alerts", "--pending")
    return {alert["ip"] for alert in alerts if alert["alert"] == "MinionImpostor"}


def _watched(admin: Any, host: str) -> set[str]:
    """What Prometheus gets from a machine: the health of its targets."""
    return {row["health"] for row in admin.pigsty("targets") if row["address"].startswith(host)}


def _named(sandbox: Any, hosts: list[str]) -> list[str]:
    """Machines that know the newcomer's name, or lead to it."""
    command = f"grep -rl -e '{HOST}' /etc/hosts /etc/haproxy/conf.d"
    return [h for h in hosts if sandbox.node(h).run(["sh", "-c", command])[1]]


@pytest.fixture
def three(admin: Any, sandbox: Any, whole: Cluster, inventory: Inventory) -> Iterator[Cluster]:
    """The cluster of three, whose third member follows; afterwards it is a member again."""
    if whole.leader()["member"] == NAME:
        admin.pigsty("pgsql", "switchover", whole.name, "pg-test-1", "--yes")
    yield whole
    inventory.undo()
    if not whole.healthy(3):  # the scenario ended early
        sandbox.sandbox.bare(HOST)
        admin.pigsty("node", "add", HOST, "--accept-host-key", "--replace")


def test_a_node_leaves_and_a_bare_one_takes_its_place_by_events_alone(
    sandbox: Any,
    admin: Any,
    three: Cluster,
    inventory: Inventory,
    report: Callable[[str, float, str], None],
) -> None:
    stay = ["10.10.10.11", OTHER]
    code, _out, err = admin.run(["pigsty", "node", "rm", HOST, "--yes"])
    assert code == 4 and "stands in the inventory" in err
    primary = three.leader()["host"]

    def without(document: dict[str, Any]) -> None:
        hosts = document["all"]["children"][three.name]["hosts"]
        if hosts.pop(HOST)["pg_role"] == "primary":
            hosts[primary]["pg_role"] = "primary"

    inventory.edit(without)
    code, _out, err = admin.run(["pigsty", "node", "rm", HOST, "--yes"])
    assert code == 4 and f"pigsty pgsql rm {three.name} {NAME}" in err
    admin.pigsty("pgsql", "rm", three.name, NAME, "--yes")
    begin = time.time()
    admin.pigsty("node", "rm", HOST, "--yes")
    assert _row(admin, HOST) is None
    eventually(
        "the others forget it",
        lambda: _happened(admin, HOST, "node.leave", begin) and not _named(sandbox, stay),
        "reactions end",
    )
    assert _watched(admin, HOST) == set()

    # The machine that one buys.
    sandbox.sandbox.bare(HOST)
    inventory.undo()
    code, _out, err = admin.run(["pigsty", "node", "add", HOST])
    assert code == 1 and "SHA256:" in err
    added = admin.pigsty("node", "add", HOST, "--accept-host-key")
    connected = time.time()
    assert [row["state"] for row in added] == ["added"]
    report("pigsty node add: from bare to connected", added[0]["seconds"], "s")
    # From here on nobody types anything.
    line = eventually(
        "it has joined",
        lambda: _happened(admin, HOST, "node.join", connected - 5),
        "a bare node joins",
    )
    assert line["outcome"].startswith(f"{NAME} has joined")
    eventually("it streams", lambda: three.healthy(3), "a bare node joins")
    eventually("it is watched", lambda: _watched(admin, HOST) == {"up"}, "a target is looked at")
    report("node join: from its minion's start to serving and watched", time.time() - connected,
           "s")  # fmt: skip
    assert _named(sandbox, stay) == stay
    assert [row["state"] for row in admin.pigsty("node", "add", HOST)] == ["is a minion already"]


def test_a_machine_that_is_gone_for_good_is_forgotten_once_somebody_says_so(admin: Any) -> None:
    begin = time.time()
    keys = "/etc/salt/pki/master/minions"
    # It was a node, was taken out of the inventory, and burnt down before it could be cleaned up.
    code, _out, err = admin.run(["cp", f"{keys}/{OTHER}", f"{keys}/{GONE}"])
    assert code == 0, err
    try:
        code, _out, err = admin.run(["pigsty", "node", "rm", GONE, "--yes"])
        assert code == 4 and "can't be cleaned up" in err and "--dead" in err
        row = _row(admin, GONE)
        assert row is not None and f"pigsty node rm {GONE}" in row["note"]
        code, _out, err = admin.run(["pigsty", "node", "rm", OTHER, "--dead", "--yes"])
        assert code == 4, "one that stands in the inventory is not dead because somebody says so"
        done = admin.pigsty("node", "rm", GONE, "--dead", "--yes")
        assert (done["hosts"], done["results"]) == ([GONE], [])
    finally:
        admin.run(["rm", "-f", f"{keys}/{GONE}"])
    assert _row(admin, GONE) is None
    line = eventually(
        "the others forget it", lambda: _happened(admin, GONE, "node.leave", begin), "reactions end"
    )
    assert line["outcome"].startswith(f"{GONE} is no part of the deployment any more")


def test_an_impostor_is_refused_and_told_of_while_the_machine_goes_on(
    sandbox: Any, admin: Any
) -> None:
    begin = time.time()
    node = sandbox.node(HOST)
    node.run(["mkdir", "-p", "/run/impostor"])
    node.run(["tee", "/run/impostor/minion"], stdin=IMPOSTOR)
    try:
        code, _out, _err = node.run(
            ["timeout", "10", "/opt/pigsty/venv/bin/salt-call", "-c", "/run/impostor", "test.ping"]
        )
        assert code != 0
        line = eventually(
            "it is told of", lambda: _happened(admin, OTHER, "node.key", begin), "reactions end"
        )
        assert f"somebody calls itself {OTHER}" in line["outcome"]
        assert line["detail"].get("changed") == {}
        row = _row(admin, OTHER)
        assert row is not None and row["key"] == "accepted, denied" and row["minion"] == "up"
        status = admin.pigsty("status")
        assert [(key["id"], key["state"]) for key in status["keys"]] == [(OTHER, "denied")]

        def told() -> bool:
            assert (alerts := _impostors(admin)) == {OTHER}, alerts
            return True

        eventually("it raises an alert", told, "an alert is on its way")
    finally:
        node.run(["rm", "-rf", "/run/impostor"])
        admin.run(["pigsty", "node", "forget", OTHER])
    row = _row(admin, OTHER)
    assert row is not None and row["key"] == "accepted"
