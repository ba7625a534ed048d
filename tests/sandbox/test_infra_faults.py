"""What watches fails in every way: databases go on, people are told, nothing is missing later."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from browser import opened
from edit import Inventory
from expect import Cluster, Writer, eventually

ADMIN, REPLICA = "10.10.10.10", "10.10.10.12"
#: Everything that an infra node runs to watch, and to be looked at.
WATCHING = (
    "nginx", "prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter",
    "prometheus-pushgateway", "prometheus-nginx-exporter", "dnsmasq", "pigsty-logs",
    "systemd-journal-remote.socket", "systemd-journal-remote",
)  # fmt: skip
PROMETHEUS, STORE = "http://127.0.0.1:9090/prometheus", "http://127.0.0.1:9098"
ROUTES = "/infra/conf/alertmanager.yml"
METRICS = "/data/infra/metrics"
#: Of the password `scenario`.
HASH = "$2b$12$ooRLefJlnFX6o3b.AYsuEuB4pXpR/eUQ84FbnEGxAXl6URl2OsHEO"


def _ask(admin: Any, expr: str, at: str = PROMETHEUS, *more: str) -> list[dict[str, Any]]:
    """Return what a Prometheus on the infra node answers to a query."""
    url = f"{at}/api/v1/query?{urlencode({'query': expr})}"
    code, out, err = admin.run(["curl", "-fsS", *more, url])
    assert code == 0, err
    rows: list[dict[str, Any]] = json.loads(out)["data"]["result"]
    return rows


def _states(admin: Any, *units: str) -> set[str]:
    return set(admin.run(["systemctl", "is-active", *units])[1].split())


def _alerts(admin: Any, *options: str) -> set[tuple[str, str]]:
    """Return the alerts, each with its instance."""
    return {(row["alert"], row["ins"]) for row in admin.pigsty("alerts", *options)}


@pytest.fixture(scope="module")
def store(admin: Any) -> Iterator[str]:
    """A second Prometheus, which takes what others write to it; they must know the password."""
    folder = "/run/scenario-store"
    web = json.dumps({"basic_auth_users": {"sender": HASH}})
    script = (
        f"mkdir -p {folder}/data && echo '{{}}' > {folder}/config.yml && cat > {folder}/web.yml"
    )
    assert admin.run(["sh", "-c", script], stdin=web)[0] == 0
    code, _out, err = admin.run(
        ["systemd-run", "--unit=scenario-store", "prometheus", f"--config.file={folder}/config.yml",
         f"--storage.tsdb.path={folder}/data", f"--web.config.file={folder}/web.yml",
         f"--web.listen-address={STORE.removeprefix('http://')}",
         "--web.enable-remote-write-receiver"]
    )  # fmt: skip
    assert code == 0, err
    yield STORE
    admin.run(["systemctl", "stop", "scenario-store"])
    admin.run(["rm", "-rf", folder])


@dataclass(frozen=True)
class Outage:
    """What two clients of databases saw while nothing watched, and how long coming back took."""

    errors: list[str]
    missing: set[int]
    stall: float


def _declared(document: dict[str, Any]) -> None:
    """Declare what an infra node shall watch, show and send on beside what it does already."""
    children, variables = document["all"]["children"], document["all"]["vars"]
    children["infra"]["hosts"][ADMIN]["pg_exporters"] = {
        20001: {"pg_cluster": "rds", "pg_seq": 1, "pg_host": REPLICA,
                "pg_monitor_password": variables["pg_monitor_password"]},
    }  # fmt: skip
    variables["prometheus_remote_write"] = [
        STORE.replace("//", "//sender:scenario@") + "/api/v1/write"
    ]
    variables["infra_portal"] = {
        "home": {"domain": "i.pigsty"},
        "old": {"domain": "old.pigsty", "endpoint": "127.0.0.1:9059",
                "cert": "/etc/pki/scenario.crt", "key": "/etc/pki/scenario.key"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def outage(
    admin: Any, pg_test: Cluster, test_dsn: Any, meta_dsn: Any, store: str, report: Any
) -> Iterator[Outage]:
    """All that watches is killed and stays down; the inventory is edited; one apply follows."""
    eventually("pg-test is whole", lambda: pg_test.healthy(3), "old primary is a replica again")
    expired = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=old",
               "-not_before", "20200101000000Z", "-not_after", "20210101000000Z",
               "-keyout", "/etc/pki/scenario.key", "-out", "/etc/pki/scenario.crt"]  # fmt: skip
    code, _out, err = admin.run(expired)
    assert code == 0, err
    inventory = Inventory(admin)
    with Writer(meta_dsn) as here, Writer(test_dsn) as elsewhere:
        # What is killed would come back by itself: it is kept down until the apply.
        admin.run(["systemctl", "kill", "--signal=KILL", *WATCHING])
        admin.run(["systemctl", "stop", *WATCHING])
        assert not _states(admin, *WATCHING) & {"active", "activating"}
        (infra,) = admin.pigsty("infra", "status")
        assert infra["state"] != "up"
        inventory.edit(_declared)
        for writer in (here, elsewhere):
            writer.wait_for_rows(50)
        begin = time.monotonic()
        inventory.apply(ADMIN)
        report("all that watches is down: the apply that brings it back",
               time.monotonic() - begin, "s")  # fmt: skip
        seen = Outage(
            here.errors + elsewhere.errors,
            here.missing() | elsewhere.missing(),
            max(here.longest_stall(), elsewhere.longest_stall()),
        )
    report("writes while nothing watched: longest stall", seen.stall, "s")
    yield seen
    inventory.restore()
    admin.run(["rm", "-f", "/etc/pki/scenario.crt", "/etc/pki/scenario.key"])


def test_databases_do_not_notice_that_nothing_watches(outage: Outage) -> None:
    assert outage.errors == []
    assert outage.missing == set()


@pytest.mark.usefixtures("outage")
def test_what_was_declared_meanwhile_is_watched_and_nothing_is_missing(admin: Any) -> None:
    assert _states(admin, *WATCHING) == {"active"}

    def whole() -> bool:
        (infra,) = admin.pigsty("infra", "status")
        rows = admin.pigsty("targets")
        assert [row for row in rows if row["health"] != "up"] == []
        assert {row["ins"] for row in rows} >= {"rds-1", "pg-test-2", "pg-meta-1"}
        return bool(infra["state"] == "up" and infra["rules"] == 0)

    eventually("every target is up again", whole, "a target is looked at")
    up = 'pg_up{ins="rds-1"} == 1'
    assert eventually("the other server tells", lambda: _ask(admin, up), "a target is looked at")


@pytest.mark.usefixtures("outage")
def test_samples_are_written_to_another_store(admin: Any, store: str) -> None:
    who = ("-u", "sender:scenario")
    wanted = 'up{component="node",ins="pg-test-3"} == 1'
    arrived = lambda: _ask(admin, wanted, store, *who)  # noqa: E731
    (row,) = eventually("a sample arrives", arrived, "a target is looked at")
    assert (row["metric"]["cls"], row["metric"]["ip"]) == ("pg-test", "10.10.10.13")
    refused = admin.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST",
                         f"{store}/api/v1/write"])  # fmt: skip
    assert refused[1] == "401", "without the password of the address"


@pytest.mark.usefixtures("outage")
def test_an_expired_certificate_of_the_portal_is_told_of_and_the_portal_serves(admin: Any) -> None:
    trusted = ["curl", "-sS", "--cacert", "/etc/pki/ca.crt"]
    assert "<title>Pigsty</title>" in admin.run([*trusted, "https://10.10.10.10/"])[1]
    resolved = ["--resolve", "old.pigsty:443:127.0.0.1", "https://old.pigsty/alertmgr/-/ready"]
    code, _out, err = admin.run(["curl", "-sS", "--cacert", "/etc/pki/scenario.crt", *resolved])
    assert code != 0
    assert "expired" in err, "who comes is told by nobody but TLS itself"
    ended = ("CertificateExpires", "pg-meta-1")
    told = lambda: ended in _alerts(admin, "--pending")  # noqa: E731
    eventually("an alert tells of it", told, "an alert is on its way")


def test_machines_are_pinged_and_answer(admin: Any) -> None:
    answers = lambda: len(_ask(admin, 'probe_success{job="ping"} == 1')) == 4  # noqa: E731
    eventually("all four answer", answers, "a target is looked at")


def test_where_no_source_has_grafana_its_path_says_so(admin: Any) -> None:
    asked = ["curl", "-s", "--cacert", "/etc/pki/ca.crt", "-w", "\n%{http_code}",
             "https://10.10.10.10/ui/d/pgsql-cluster"]  # fmt: skip
    page, _, code = admin.run(asked)[1].rpartition("\n")
    assert code == "503"
    assert "<title>Grafana" in page
    with opened(f"https://{ADMIN}") as browser:
        browser.open("/ui/d/pgsql-cluster?var-cls=pg-test")
        assert "There is no Grafana here" in browser.text("main")
        browser.follow("main a.button")
        assert "d=pgsql-cluster" in browser.address
        assert "cls=pg-test" in browser.address


#: A receiver of alerts on the infra node, which notes what it is told.
_RECEIVER = """
import http.server
class Note(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        with open("/run/scenario-alerts", "ab") as file:
            file.write(self.rfile.read(int(self.headers["Content-Length"])) + b"\\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9097), Note).serve_forever()
"""
_ROUTES = """
route:
  receiver: living
  group_wait: 1s
  # So long a notification is tried again before it counts as failed.
  group_interval: 10s
  routes:
    - { receiver: dead, matchers: [job = scenario], continue: true }
    - { receiver: living }
receivers:
  - name: dead
    webhook_configs: [{ url: "http://127.0.0.1:9/" }]
  - name: living
    webhook_configs: [{ url: "http://127.0.0.1:9097/" }]
"""


@pytest.fixture
def receiver(admin: Any) -> Iterator[Callable[[], str]]:
    """A receiver that lives, and routes of people's own; returns what it was told."""
    command = ["systemd-run", "--unit=scenario-receiver", "python3", "-c", _RECEIVER]
    assert admin.run(command)[0] == 0
    yield lambda: str(admin.run(["cat", "/run/scenario-alerts"])[1])
    admin.run(["systemctl", "stop", "scenario-receiver"])
    admin.run(["rm", "-f", ROUTES, "/run/scenario-alerts"])
    code, out, err = admin.run(["pigsty", "apply", ADMIN, "-m", "infra", "--yes"])
    assert code == 0, out + err


def test_a_broken_route_is_refused_and_a_dead_receiver_holds_nobody_else_up(
    admin: Any, receiver: Callable[[], str]
) -> None:
    apply = ["pigsty", "apply", ADMIN, "-m", "infra", "--yes"]
    broken = _ROUTES.replace("receiver: living }", "receiver: nobody }")
    admin.run(["sh", "-c", f"cat > {ROUTES}"], stdin=broken)
    code, out, err = admin.run(apply)
    assert code != 0
    assert f"{ROUTES} is not used" in out + err
    assert 'undefined receiver "nobody"' in out + err
    assert _states(admin, "prometheus-alertmanager") == {"active"}
    assert admin.run(["amtool", "check-config", "/etc/prometheus/alertmanager.yml"])[0] == 0

    admin.run(["sh", "-c", f"cat > {ROUTES}"], stdin=_ROUTES)
    code, out, err = admin.run(apply)
    assert code == 0, out + err
    # One that was told of before, by an earlier run, would not be told of again.
    name = f"Scenario{uuid.uuid4().hex}"
    told = ["amtool", "--alertmanager.url=http://127.0.0.1:9059/alertmgr", "alert", "add", name,
            "job=scenario"]  # fmt: skip
    assert admin.run(told)[0] == 0
    heard = lambda: name in receiver()  # noqa: E731
    eventually("the living receiver hears of it", heard, "an alert goes out")
    silent = lambda: ("AlertsNotSent", "alertmanager-1") in _alerts(admin, "--pending")  # noqa: E731
    eventually("an alert says that nobody hears", silent, "an alert is on its way")


def test_a_full_disk_of_metrics_is_told_of_and_ends_when_there_is_room(
    admin: Any, report: Any
) -> None:
    mine = ("MetricsNotStored", "")
    trusted = ["curl", "-sS", "--cacert", "/etc/pki/ca.crt"]
    fill = f"! cat /dev/zero > {METRICS}/ballast"
    admin.run(["systemctl", "stop", "prometheus"])
    small = "size=32m,uid=prometheus,gid=prometheus,mode=750"
    assert admin.run(["mount", "-t", "tmpfs", "-o", small, "tmpfs", METRICS])[0] == 0
    try:
        admin.run(["systemctl", "start", "prometheus"])
        stored = lambda: _ask(admin, 'up{component="prometheus"} == 1')  # noqa: E731
        eventually("samples are stored", stored, "a target is looked at")
        assert admin.run(["sh", "-c", fill])[0] == 0
        full = time.monotonic()
        told = lambda: mine in _alerts(admin)  # noqa: E731
        eventually("an alert tells of it", told, "a full disk is told of")
        report("a full disk of metrics: to its alert", time.monotonic() - full, "s")
        (infra,) = admin.pigsty("infra", "status")
        assert infra["rules"] > 0
        assert "<title>Pigsty</title>" in admin.run([*trusted, "https://10.10.10.10/"])[1]
        assert _states(admin, "prometheus", "nginx") == {"active"}
        admin.run(["rm", f"{METRICS}/ballast"])
        room = time.monotonic()
        fresh = lambda: not told() and admin.pigsty("infra", "status")[0]["rules"] == 0  # noqa: E731
        eventually("metrics are stored again", fresh, "alerts clear")
        report("a full disk of metrics: from free space to no alert", time.monotonic() - room, "s")
    finally:
        admin.run(["systemctl", "stop", "prometheus"])
        admin.run(["umount", METRICS])
        admin.run(["systemctl", "start", "prometheus"])
    eventually("all is as before", stored, "a target is looked at")
