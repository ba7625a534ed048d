"""Logs and names: a line is found where one looks for it, and a name leads to who leads."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from browser import DESK, PHONE, opened
from expect import Cluster, eventually

REPLICA = "10.10.10.12"
STORE = ("systemd-journal-remote.socket", "systemd-journal-remote.service")


@pytest.fixture
def mark() -> str:
    """A word that no log has."""
    return f"mark{uuid.uuid4().hex}"


@pytest.fixture
def found(admin: Any) -> Callable[..., list[dict[str, Any]]]:
    """What the portal's search finds of the last ten minutes."""

    def ask(**words: str) -> list[dict[str, Any]]:
        url = f"https://127.0.0.1/logs/api/search?{urlencode({'since': '10m', **words})}"
        code, out, err = admin.run(["curl", "-sS", "--cacert", "/etc/pki/ca.crt", url])
        assert code == 0, err
        entries: list[dict[str, Any]] = json.loads(out)["entries"]
        return entries

    return ask


def test_a_line_that_postgresql_writes_on_a_replica_is_found_within_seconds(
    sandbox: Any, admin: Any, found: Any, mark: str, report: Callable[[str, float, str], None]
) -> None:
    sql = f"select 1/0 as\n{mark};"
    begin = time.monotonic()
    sandbox.node(REPLICA).run(["runuser", "-u", "postgres", "--", "psql", "-X"], stdin=sql)
    (entry,) = eventually(
        "the portal finds it", lambda: found(ip=REPLICA, text=mark), "a log line is found"
    )
    report("a log line on a replica: from its writing to the portal", time.monotonic() - begin, "s")
    assert (entry["cls"], entry["ins"]) == ("pg-test", "pg-test-2")
    assert (entry["unit"], entry["level"]) == ("postgres", "err")
    assert "division by zero" in entry["text"]
    assert f"select 1/0 as\n{mark};" in entry["text"], "an entry of two lines is one entry"
    assert found(ins="pg-test-2", unit="postgres", level="err", text=mark) == [entry]
    assert found(ins="pg-test-1", text=mark) == []
    assert admin.pigsty("logs", "pg-test-2", "--unit", "postgres", "--grep", mark) == [entry]
    code, out, _err = admin.run(["pigsty", "logs", "pg-test", "-g", mark, "-n", "1"])
    assert (code, out.count("\n")) == (0, 1)


def test_what_was_written_while_the_infra_node_was_away_arrives(
    sandbox: Any, admin: Any, found: Any, mark: str
) -> None:
    assert admin.run(["systemctl", "stop", *STORE])[0] == 0
    try:
        for number in range(3):
            sandbox.node(REPLICA).run(["logger", "-t", "scenario", f"{mark} {number}"])
    finally:
        admin.run(["systemctl", "start", *STORE])
    eventually(
        "all of it arrives",
        lambda: (
            [entry["text"] for entry in found(ip=REPLICA, unit="scenario", text=mark)]
            == [f"{mark} {number}" for number in range(3)]
        ),
        "logs of a gap arrive",
    )


def test_the_portals_page_finds_it_and_is_linked_to_by_its_address(
    sandbox: Any, found: Any, mark: str
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    sandbox.node(REPLICA).run(["logger", "-t", "scenario", "-p", "user.err", f"{evil} {mark}"])
    eventually("it is there", lambda: found(ip=REPLICA, text=mark), "a log line is found")
    with opened("https://10.10.10.10") as browser:
        browser.open(f"/portal/logs.html?cls=pg-test&text={mark}")
        assert browser.text(".logs .said") == f"{evil} {mark}"
        assert browser.text(".logs tbody tr").split("\t")[1:4] == ["pg-test-2", "scenario", "err"]
        assert browser.run("return document.querySelectorAll('main img').length") == 0
        browser.choose("select[name=ins]", "pg-test-1")
        assert "Nothing was found." in browser.text("main")
        assert "ins=pg-test-1" in browser.address
        browser.choose("select[name=ins]", "")
        browser.size(*PHONE)
        assert browser.run("return document.documentElement.scrollWidth") <= PHONE[0]
        browser.size(*DESK)
        assert browser.complaints() == []
        browser.open("/portal/logs.html?since=soon")
        assert "no moment" in browser.text("main")


def test_logs_are_taken_from_nodes_only(sandbox: Any) -> None:
    node = sandbox.node(REPLICA)
    asked = ["curl", "-s", "--cacert", "/etc/pki/ca.crt", "-o", "/dev/null", "-w", "%{http_code}",
             "-X", "POST", "https://10.10.10.10:19532/upload"]  # fmt: skip
    assert node.run(asked)[1] == "400", "no certificate"
    other = ["--cert", "/pg/cert/server.crt", "--key", "/pg/cert/server.key"]
    assert node.run([*asked, *other])[1] == "403", "a certificate of a database"


def test_a_clusters_name_follows_a_switchover_by_itself(
    sandbox: Any, admin: Any, whole: Cluster, report: Callable[[str, float, str], None]
) -> None:
    def leads_to() -> str:
        _code, out, _err = sandbox.node(REPLICA).run(["getent", "ahostsv4", whole.name])
        return out.split()[0] if out else ""

    assert leads_to() == whole.leader()["host"]
    admin.pigsty("pgsql", "switchover", whole.name, "--yes")
    begin = time.monotonic()
    new = whole.leader()["host"]
    eventually("the name follows", lambda: leads_to() == new, "a name follows the leader")
    report("a cluster's name: from the switchover's end to the new leader",
           time.monotonic() - begin, "s")  # fmt: skip
    eventually("reactions have ended", admin.quiet, "reactions end")


def test_names_are_found_without_the_infra_node_too(sandbox: Any, admin: Any) -> None:
    node = sandbox.node(REPLICA)
    assert node.run(["getent", "hosts", "pg-meta"])[1].split()[0] == "10.10.10.10"
    assert admin.run(["systemctl", "stop", "dnsmasq"])[0] == 0
    try:
        # What the machine's own resolver knows, it still answers; partners stand in /etc/hosts.
        assert admin.run(["getent", "hosts", "pg-meta-1"])[0] == 0
        assert node.run(["getent", "hosts", "pg-test-1"])[0] == 0
    finally:
        admin.run(["systemctl", "start", "dnsmasq"])
