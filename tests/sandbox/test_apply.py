"""Applying is idempotent, auditable, and safe to interrupt."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from expect import Cluster, eventually

from pigsty_cli.exitcodes import REFUSED


def _apply(admin: Any, *options: str) -> tuple[int, dict[str, Any], str]:
    code, out, err = admin.run(["pigsty", "apply", "--yes", "-o", "json", *options])
    hosts = {row["host"]: row for row in json.loads(out)} if out.strip() else {}
    return code, hosts, err


def _changed(hosts: dict[str, Any]) -> dict[str, int]:
    return {host: row["changed"] for host, row in hosts.items() if row["changed"]}


def _start_times(sandbox: Any) -> dict[str, list[str]]:
    """When the daemons of each member were started: a restart shows as another time."""
    units = ["patroni", "haproxy", "pgbouncer"]
    times = {}
    for host in ("10.10.10.11", "10.10.10.12", "10.10.10.13"):
        code, out, err = sandbox.node(host).run(
            ["systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", "--value", *units]
        )
        assert code == 0, err
        code, postmaster, err = sandbox.node(host).run(["head", "-3", "/pg/data/postmaster.pid"])
        assert code == 0, err
        times[host] = [*out.split(), *postmaster.split()]
    return times


def test_second_apply_changes_nothing(admin: Any) -> None:
    code, hosts, err = _apply(admin)
    assert code == 0, err
    assert len(hosts) == 4
    assert _changed(hosts) == {}


def test_audit_reports_no_change(admin: Any) -> None:
    code, hosts, err = _apply(admin, "--test")
    assert code == 0, err
    assert len(hosts) == 4
    assert _changed(hosts) == {}


def test_audit_finds_and_apply_mends_a_drifted_file(sandbox: Any, admin: Any) -> None:
    node = sandbox.node("10.10.10.12")
    # No reaction to an event runs this file's state, which would mend it before anybody looks.
    path = "/etc/haproxy/haproxy.cfg"
    eventually("reactions have ended", admin.quiet, "reactions end")
    code, before, err = node.run(["cat", path])
    assert code == 0, err
    node.run(["sed", "-i", "s/maxconn/maxconn  /", path])
    _, audit, _ = _apply(admin, "10.10.10.12", "--test")
    assert _changed(audit), "the audit saw nothing"
    code, drifted, _ = node.run(["cat", path])
    assert drifted != before, "the audit itself changed the file"
    code, fixed, err = _apply(admin, "10.10.10.12")
    assert code == 0, err
    assert _changed(fixed) == _changed(audit)
    assert node.run(["cat", path])[1] == before


def test_apply_while_the_written_primary_is_a_replica_restarts_nothing(
    sandbox: Any, admin: Any, pg_test: Cluster
) -> None:
    written = "pg-test-1"
    if pg_test.leader()["member"] == written:
        _switchover(sandbox, pg_test, "pg-test-2")
    before = _start_times(sandbox)
    leader = pg_test.leader()
    code, _hosts, err = _apply(admin)
    assert code == 0, err
    assert _start_times(sandbox) == before
    assert pg_test.leader() == leader
    # Rules for a role follow the live one: the first apply may rewrite them, the second may not.
    _, again, _ = _apply(admin)
    assert _changed(again) == {}
    assert pg_test.healthy(3)


def test_a_failover_amid_an_apply_restarts_no_new_primary_and_a_second_apply_is_refused(
    sandbox: Any, admin: Any, whole: Cluster
) -> None:
    old = whole.leader()
    heir = next(m["member"] for m in whole.members() if m["role"] != "primary")
    before = _start_times(sandbox)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(_apply, admin, whole.name)
        eventually("states run", lambda: _runs(sandbox, old["host"]), "minion answers")
        code, _hosts, err = _apply(admin, whole.name)
        assert code == REFUSED, err
        assert f"another run is going on: `pigsty apply {whole.name}` by root since" in err
        _switchover(sandbox, whole, heir)
        code, hosts, err = run.result()
    assert code == 0, f"{hosts}\n{err}"
    eventually("all stream", lambda: whole.healthy(3), "old primary is a replica again")
    assert whole.leader()["member"] == heir
    after = _start_times(sandbox)
    assert {h: t for h, t in after.items() if h != old["host"]} == {
        h: t for h, t in before.items() if h != old["host"]
    }


def _runs(sandbox: Any, host: str) -> bool:
    """Whether states run on a machine, by its minion's own record."""
    word = ["sh", "-c", "ls /var/cache/salt/minion/proc"]
    return bool(sandbox.node(host).run(word)[1].split())


def test_an_apply_killed_half_way_converges_the_next_time(sandbox: Any, admin: Any) -> None:
    node = sandbox.node("10.10.10.13")
    node.run(["rm", "-f", "/etc/haproxy/conf.d/pg-test-offline.cfg", "/etc/profile.d/pgsql.sh"])
    # The minion dies with its job while states run; systemd brings the minion back.
    admin.run(["salt", "--async", "10.10.10.13", "state.apply"])
    eventually(
        "the job runs on the minion",
        lambda: (
            "state.apply" in node.run(["salt-call", "--local", "saltutil.running"])[1]
            or node.run(["pgrep", "-f", "ProcessPayload|_thread_return"])[0] == 0
        ),
        "minion answers",
    )
    node.run(["systemctl", "kill", "-s", "SIGKILL", "salt-minion"])
    node.run(["systemctl", "restart", "salt-minion"])
    eventually(
        "the minion answers",
        lambda: admin.reaches("10.10.10.13"),
        "minion answers",
    )
    code, _hosts, err = _apply(admin)
    assert code == 0, err
    _, again, _ = _apply(admin)
    assert _changed(again) == {}


def _switchover(sandbox: Any, cluster: Cluster, candidate: str) -> None:
    leader = cluster.leader()
    code, out, err = sandbox.node(leader["host"]).run(
        [
            "patronictl",
            "-c",
            "/etc/patroni/config.yml",
            "switchover",
            "--force",
            "--leader",
            leader["member"],
            "--candidate",
            candidate,
            cluster.name,
        ]
    )
    assert code == 0, out + err
    eventually(
        f"{candidate} leads and all stream",
        lambda: cluster.leader()["member"] == candidate and cluster.healthy(3),
        "old primary is a replica again",
    )
