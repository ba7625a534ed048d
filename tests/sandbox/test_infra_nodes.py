"""A second infra node: complete after one apply, and without a trace after the one that ends it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from edit import Inventory
from expect import Cluster, eventually

ADMIN, SECOND, OTHER = "10.10.10.10", "10.10.10.13", "10.10.10.12"
UPLOAD = "pigsty-upload-infra-2.service"
#: What an infra node runs and no other node does.
UNITS = (
    "nginx", "prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter",
    "prometheus-pushgateway", "prometheus-nginx-exporter", "dnsmasq", "pigsty-logs",
    "systemd-journal-remote.socket", "systemd-journal-remote",
)  # fmt: skip
#: Where it listens for others: packages and portal, logs, names, nginx's metrics.
PORTS = (80, 443, 19532, 53, 9113)
#: What a node that leaves the group must not keep: a boot would bring it back.
FILES = (
    "/etc/nginx/conf.d/pigsty.conf", "/etc/nginx/conf.d/pigsty-logs.conf", "/etc/pigsty-logs.json",
    "/etc/systemd/system/pigsty-logs.service", "/etc/tmpfiles.d/pigsty-logs.conf",
    "/var/lib/prometheus/node-exporter/pigsty_targets.prom",
)  # fmt: skip


def _states(machine: Any, *units: str) -> set[str]:
    return set(machine.run(["systemctl", "is-active", *units])[1].split())


def _json(machine: Any, url: str) -> Any:
    code, out, err = machine.run(["curl", "-sS", "--cacert", "/etc/pki/ca.crt", url])
    assert code == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def second(sandbox: Any, admin: Any, pg_test: Cluster, report: Any) -> Iterator[Any]:
    """A replica's machine that is an infra node as well; after the tests it is none any more."""
    eventually("pg-test is whole", lambda: pg_test.healthy(3), "old primary is a replica again")
    inventory = Inventory(admin)
    hosts = {SECOND: {"infra_seq": 2}}
    inventory.edit(lambda document: document["all"]["children"]["infra"]["hosts"].update(hosts))
    begin = time.monotonic()
    inventory.apply()
    report("a second infra node: the apply that makes it one", time.monotonic() - begin, "s")
    yield sandbox.node(SECOND)
    inventory.restore()


def test_a_new_infra_node_is_complete_after_its_first_apply(admin: Any, second: Any) -> None:
    assert _states(second, *UNITS) == {"active"}

    def alike() -> bool:
        rows = admin.pigsty("infra", "status")
        assert [row["state"] for row in rows] == ["up", "up"]
        assert all(row["up"] == row["known"] and row["rules"] == 0 for row in rows), rows
        return bool(rows[0]["known"] == rows[1]["known"])

    eventually("both see every target up", alike, "a target is looked at")
    page = admin.run(["curl", "-sS", "--cacert", "/etc/pki/ca.crt", f"https://{SECOND}/"])[1]
    assert "<title>Pigsty</title>" in page
    assert _json(admin, f"https://{SECOND}/portal/site.json")["name"] == "infra-2"
    assert admin.run(["getent", "hosts", "infra-2"])[1].split()[0] == SECOND


def test_logs_and_alerts_are_at_both(sandbox: Any, admin: Any, second: Any, report: Any) -> None:
    def logged() -> str:
        mark = f"mark{uuid.uuid4().hex}"
        sandbox.node(OTHER).run(["logger", "-t", "scenario", mark])
        return mark

    def found(mark: str, *hosts: str) -> bool:
        words = urlencode({"since": "10m", "text": mark})
        urls = [f"https://{host}/logs/api/search?{words}" for host in hosts]
        return all(len(_json(admin, url)["entries"]) == 1 for url in urls)

    mark, begin = logged(), time.monotonic()
    eventually("it has what was before", lambda: found(mark, SECOND), "a journal is caught up")
    report("a second infra node: it has the logs of before", time.monotonic() - begin, "s")
    mark = logged()
    eventually("both have it", lambda: found(mark, ADMIN, SECOND), "a log line is found")
    for host in (ADMIN, SECOND):
        found_by = _json(admin, f"https://{host}/prometheus/api/v1/alertmanagers")["data"]
        assert [one["url"] for one in found_by["activeAlertmanagers"]] == [
            "http://127.0.0.1:9059/alertmgr/api/v2/alerts"
        ]
        rules = _json(admin, f"https://{host}/prometheus/api/v1/rules?type=alert")["data"]
        assert any(rule["name"] == "NodeDown" for g in rules["groups"] for rule in g["rules"])


def test_a_node_that_leaves_the_group_leaves_nothing_behind(
    sandbox: Any, admin: Any, second: Any, report: Any
) -> None:
    Inventory(admin).edit(
        lambda document: document["all"]["children"]["infra"]["hosts"].pop(SECOND)
    )
    begin = time.monotonic()
    Inventory(admin).apply()
    report("a second infra node: the apply that ends it", time.monotonic() - begin, "s")
    assert not _states(second, *UNITS) & {"active", "activating"}
    enabled = second.run(["systemctl", "is-enabled", *UNITS])[1].split()
    assert "enabled" not in enabled
    listening = second.run(["ss", "-Hltn"])[1]
    assert [port for port in PORTS if f"{SECOND}:{port} " in listening] == []
    assert [port for port in PORTS if f"0.0.0.0:{port} " in listening] == []
    left = second.run(["ls", "-d", *FILES])[1].split()
    assert left == []
    for host in sandbox.hosts:
        node = sandbox.node(host)
        assert node.run(["systemctl", "is-active", UPLOAD])[1].strip() == "inactive", host
        assert node.run(["ls", f"/etc/systemd/system/{UPLOAD}"])[0] != 0, host
        assert node.run(["getent", "hosts", "infra-2"])[0] != 0, host
    (infra,) = admin.pigsty("infra", "status")
    assert infra["state"] == "up"
    assert not any("infra-2" in row["ins"] or row["ins"].endswith("er-2") for row in
                   admin.pigsty("targets"))  # fmt: skip
    assert admin.run(["ls", "/infra/targets/infra"])[1].split() == ["infra-1.yml"]
    assert Inventory(admin).unchanged()
