"""What watches: every target is up, every alert can fire, and a bad rule stops nothing."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alerts
import pytest
from edit import Inventory
from expect import Cluster, eventually

REPOSITORY = Path(__file__).resolve().parents[2]
RULES = tuple(f"/opt/pigsty/src/states/infra/rules/{n}.yml" for n in ("node", "pgsql", "infra"))
TARGETS = "/infra/targets/pgsql/pg-test-3.yml"


#: What the power cut of a replica raises: about the replica, and about its cluster.
OF_THE_REPLICA = {
    "HaproxyDown",
    "NodeDown",
    "PatroniDown",
    "PgbouncerExporterDown",
    "PostgresExporterDown",
}
OF_ITS_CLUSTER = "PostgresReplicationBreak"
#: What processors, disks and memory that all nodes of a sandbox share raise by themselves, and what
#: tells a minute later of a restart in a scenario before.
SHARED = {
    "PostgresRestart",
    "NodeCpuHigh",
    "NodeDiskSlow",
    "NodeFsFullSoon",
    "NodeFsSpaceFull",
    "NodeLoadHigh",
    "NodeOutOfMem",
    "NodeTcpErrHigh",
    "NodeTcpRetransHigh",
    "NodeTimeDrift",
    "PostgresPressureHigh",
}


def _down(admin: Any) -> list[str]:
    rows = admin.pigsty("targets", "--down")
    return [f"{row['component']} of {row['ins']}: {row['health']} {row['error']}" for row in rows]


def test_every_target_is_up_and_every_rule_is_computed(admin: Any, whole: Cluster) -> None:
    eventually("every target is up", lambda: not _down(admin), "a target is looked at")
    components = {row["component"] for row in admin.pigsty("targets")}
    assert components >= {"node", "haproxy", "postgres", "pgbouncer", "pgbackrest", "patroni"}
    assert components >= {"etcd", "prometheus", "alertmanager", "blackbox", "nginx", "ping"}
    assert components >= {"salt", "pushgateway"}
    assert admin.pigsty("alerts", "--rules") == []
    (infra,) = admin.pigsty("infra", "status")
    assert infra["state"] == "up"


def test_what_leaves_the_folder_comes_back_and_what_people_added_stays(admin: Any) -> None:
    own = "/infra/targets/node/mine.yml"
    text = '- { labels: { cls: x, ins: mine }, targets: ["10.10.10.10:9100"] }\n'
    stale = "/infra/targets/pgsql/gone-1.yml"
    admin.run(["sh", "-c", f"cat > {own}"], stdin=text)
    admin.run(["cp", TARGETS, stale])
    admin.run(["rm", TARGETS])
    try:
        code, out, err = admin.run(["pigsty", "apply", "10.10.10.10", "--yes"])
        assert code == 0, out + err
        code, out, _ = admin.run(["ls", own, TARGETS, stale])
        assert out.split() == [own, TARGETS]
    finally:
        admin.run(["rm", "-f", own])


def test_a_broken_rule_is_refused_and_everything_goes_on(admin: Any) -> None:
    broken, good = "/infra/rules/broken.yml", "/infra/rules/good.yml"
    rule = "groups: [{{ name: mine, rules: [{{ record: 'my:ins:up', expr: '{}' }}] }}]\n"
    admin.run(["sh", "-c", f"cat > {broken}"], stdin=rule.format("sum(((up)"))
    admin.run(["sh", "-c", f"cat > {good}"], stdin=rule.format("sum(up)"))
    try:
        code, out, err = admin.run(["pigsty", "apply", "10.10.10.10", "--yes"])
        assert code != 0
        assert f"{broken} is not used" in out + err
        used = admin.run(["ls", "/etc/prometheus/rules"])[1].split()
        assert "own-good.yml" in used
        assert "own-broken.yml" not in used
        assert admin.pigsty("infra", "status")[0]["state"] == "up"
    finally:
        admin.run(["rm", "-f", broken, good])
        code, out, err = admin.run(["pigsty", "apply", "10.10.10.10", "--yes"])
    assert code == 0, out + err
    assert "own-good.yml" not in admin.run(["ls", "/etc/prometheus/rules"])[1]


def test_a_portal_that_nginx_refuses_is_not_loaded(admin: Any, inventory: Inventory) -> None:
    bad = {"wiki": {"domain": "w.pigsty", "endpoint": "10.10.10.10:1", "config": "no_such_thing;"}}
    inventory.edit(lambda document: document["all"]["vars"].update(infra_portal=bad))
    try:
        code, out, err = admin.run(["pigsty", "apply", "10.10.10.10", "--yes"])
        assert code != 0
        assert "no_such_thing" in out + err
        assert admin.run(["nginx", "-t", "-q"])[0] == 0
        assert admin.pigsty("infra", "status")[0]["state"] == "up"
    finally:
        inventory.restore()
        inventory.apply("10.10.10.10")


def _firing(admin: Any, since: str) -> set[tuple[str, str]]:
    """Return the alerts that fire and came true since a moment (UTC), each with its instance.

    What scenarios before have caused may begin to fire meanwhile.
    """
    rows = [row for row in admin.pigsty("alerts") if row["alert"] not in SHARED]
    return {(row["alert"], row["ins"]) for row in rows if row["since"] >= since}


def _subjects(admin: Any) -> set[str]:
    return {line["subject"] for line in admin.pigsty("events", "--since", "5m")}


def test_a_power_cut_raises_exactly_its_alerts_and_they_clear_by_themselves(
    sandbox: Any, admin: Any, whole: Cluster, report: Any
) -> None:
    replica = max(m["member"] for m in whole.members() if m["role"] != "primary")
    host = next(m["host"] for m in whole.members() if m["member"] == replica)
    expected = {(name, replica) for name in OF_THE_REPLICA} | {(OF_ITS_CLUSTER, "")}
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    sandbox.node(host).kill()
    cut = time.monotonic()
    try:
        told = "a power cut is told of"
        eventually("its alerts fire", lambda: expected <= _firing(admin, since), told)
        report("a power cut to its last alert", time.monotonic() - cut, "s")
        assert _firing(admin, since) == expected
        # People hear of it once: a machine that is gone explains what else is missing there.
        query = "active=true&inhibited=false&silenced=false"
        url = f"http://127.0.0.1:9059/alertmgr/api/v2/alerts?{query}"
        labels = [alert["labels"] for alert in json.loads(admin.run(["curl", "-sS", url])[1])]
        assert {one["alertname"] for one in labels if one.get("ip") == host} - SHARED == {
            "NodeDown"
        }
        # An alert that joins a group which was told of already waits for the group's next turn.
        eventually("the journal has it", lambda: "NodeDown" in _subjects(admin), told)
    finally:
        sandbox.node(host).start()
    back = time.monotonic()
    eventually("its alerts clear", lambda: not expected & _firing(admin, since), "alerts clear")
    report("power-on to the last alert cleared", time.monotonic() - back, "s")


@pytest.mark.usefixtures("sandbox")
def test_every_alert_fires_and_clears_and_a_size_outlasts_a_restart(admin: Any) -> None:
    assert (REPOSITORY / "states/infra/rules").is_dir()
    test = "/tmp/pigsty-rules.yml"
    admin.run(["sh", "-c", f"cat > {test}"], stdin=alerts.document(list(RULES)))
    code, out, err = admin.run(["promtool", "test", "rules", test])
    assert code == 0, out + err


def test_a_second_apply_changes_nothing(inventory: Inventory, whole: Cluster) -> None:
    inventory.apply()
    assert inventory.unchanged()
