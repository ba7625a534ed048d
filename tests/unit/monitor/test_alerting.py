"""Alerts become hints, and what follows from them is decided by what fires now."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pigsty import alerting, events, react, topology, validate
from pigsty.alerting import AlertError, Firing, Told
from pigsty.clients.webhook import Server
from pigsty.reactions.truth import Step, Truth

ROOT = Path(__file__).resolve().parents[3]
FIRST, SECOND = "10.10.10.11", "10.10.10.12"
EVERYBODY = frozenset({"10.10.10.10", FIRST, SECOND, "10.10.10.13"})
DEAD = Firing("PgbouncerExporterDown", "pgbouncer", "pg-test-1", FIRST, "2026-01-31T12:00:00Z")


def message(*alerts: dict[str, object]) -> bytes:
    """Return a message as Alertmanager sends it."""
    return json.dumps({"version": "4", "status": "firing", "alerts": alerts}).encode()


NODE_DOWN = {
    "status": "firing",
    "labels": {"alertname": "NodeDown", "cls": "pg-test", "ins": "pg-test-1", "ip": FIRST},
    "annotations": {"summary": "…"},
}


def test_a_message_is_read():
    cleared = {"status": "resolved", "labels": {"alertname": "PatroniPaused"}}
    places = {"cls": "pg-test", "ins": "pg-test-1", "ip": FIRST}
    assert alerting.read(message(NODE_DOWN, cleared)) == [
        Told("NodeDown", "firing", places),
        Told("PatroniPaused", "resolved", {}),
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b"null", b'{"alerts": 3}', b'{"alerts": [3]}', b"\xff" * 9,
     message({"status": "pending", "labels": {"alertname": "A"}}),
     message({"status": "firing", "labels": {}}), message({"status": "firing", "labels": 3})],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(body):
    with pytest.raises(AlertError, match=r"^no message of Alertmanager: \w+$"):
        alerting.read(body)


def test_its_event_is_a_hint_about_the_alert():
    (told,) = alerting.read(message(NODE_DOWN))
    tag = events.tag(f"alert.{told.status}", name=told.name)
    hint, refused = events.read(tag, {"name": told.name, **told.data})
    assert (hint.kind, hint.subject, refused) == ("alert.firing", "NodeDown", "")
    assert hint.data["ins"] == "pg-test-1"
    assert {"alert.firing", "alert.resolved"} <= react.KINDS


@pytest.fixture
def declared(tmp_path):
    """Return the function that makes the truth of a sandbox that lets some programs restart."""

    def make(restarts=(), alerts=(DEAD,), minions=EVERYBODY):
        text = (ROOT / "pillar/inventory/sandbox.yml").read_text("utf-8")
        file = tmp_path / "pigsty.yml"
        extra = f"    alert_restarts: {json.dumps(list(restarts))}\n"
        file.write_text(text.replace("  vars:\n", f"  vars:\n{extra}", 1), "utf-8")
        return Truth(topology.load(file), {}, minions, alerts=tuple(alerts))

    return make


def test_by_default_an_alert_is_only_written_down(declared):
    found = react.decide("alert.firing", DEAD.name, declared(), None)
    assert (found.stages, found.wait) == ((), False)
    assert found.why == "PgbouncerExporterDown fires for pg-test-1"


def test_a_program_on_the_list_is_started_where_it_is_dead(declared):
    other = replace(DEAD, ins="pg-test-2", ip=SECOND)
    truth = declared(["pgbouncer_exporter"], [DEAD, other])
    found = react.decide("alert.firing", DEAD.name, truth, None)
    assert found.stages == ((Step((FIRST, SECOND), ("node.monitor",)),),)
    again = react.decide("alert.firing", DEAD.name, truth, found.fact)
    assert again.stages == () and "already" in again.why
    anew = declared(["pgbouncer_exporter"], [replace(DEAD, since="2026-01-31T15:00:00Z")])
    assert react.decide("alert.firing", DEAD.name, anew, found.fact).stages


def test_an_alert_that_nobody_confirms_leads_to_nothing(declared):
    truth = declared(["pgbouncer_exporter"], [])
    for kind in ("alert.firing", "alert.resolved"):
        found = react.decide(kind, DEAD.name, truth, None)
        assert found.why == "PgbouncerExporterDown doesn't fire now"
        assert (found.stages, found.fact, found.wait) == ((), None, False)


def test_a_machine_that_is_away_catches_up(declared):
    truth = declared(["pgbouncer_exporter"], minions=EVERYBODY - {FIRST})
    found = react.decide("alert.firing", DEAD.name, truth, None)
    assert (found.stages, found.absent) == ((), (FIRST,))


@pytest.mark.parametrize("name", ["PostgresDown", "PatroniDown", "EtcdServerDown", "NodeDown"])
def test_what_holds_data_or_decides_is_never_started_by_an_alert(declared, name):
    for component in ("postgres", "patroni", "etcd", "pgbouncer"):
        truth = declared(alerting.PROGRAMS, [replace(DEAD, name=name, component=component)])
        assert react.decide("alert.firing", name, truth, None).stages == ()


def test_an_alert_of_a_machine_that_is_not_ours_restarts_nothing(declared):
    truth = declared(["pgbouncer_exporter"], [replace(DEAD, ip="192.0.2.1")])
    assert react.decide("alert.firing", DEAD.name, truth, None).stages == ()


def test_only_what_fires_counts():
    live = [
        {"labels": {"alertname": "A", "ip": FIRST}, "state": "firing", "activeAt": "now"},
        {"labels": {"alertname": "B"}, "state": "pending", "activeAt": "now"},
    ]
    assert alerting.firing(live) == (Firing("A", "", "", FIRST, "now"),)


@pytest.mark.parametrize("name", ["patroni", "postgres", "etcd", "nonsense"])
def test_the_inventory_can_not_list_others(declared, tmp_path, name):
    declared(["haproxy", name])
    (finding,) = [f for f in validate.validate(tmp_path / "pigsty.yml") if f.severity == "error"]
    assert name in finding.message
    assert "haproxy" in finding.hint


class Hook:
    """A server on the loopback, and what it took."""

    def __init__(self) -> None:
        self.taken: list[Told] = []
        self.server = Server("s3cret", self.taken.extend, port=0)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def send(self, body: bytes, token: str = "s3cret", path: str = alerting.PATH,
             **headers: str) -> int:  # fmt: skip
        connection = http.client.HTTPConnection(*self.server.server_address, timeout=5)
        connection.request("POST", path, body, {"Authorization": f"Bearer {token}", **headers})
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture
def hook():
    found = Hook()
    yield found
    found.server.shutdown()
    found.thread.join()
    found.server.server_close()


def test_alertmanager_is_heard(hook):
    assert hook.send(message(NODE_DOWN)) == 200
    assert [told.name for told in hook.taken] == ["NodeDown"]
    assert hook.server.server_address[0] == "127.0.0.1"


def test_who_lacks_the_token_is_not(hook):
    assert hook.send(message(NODE_DOWN), token="guess") == 401
    assert hook.send(message(NODE_DOWN), token="") == 401
    assert hook.taken == []


def test_nonsense_is_refused_and_the_next_message_is_taken(hook):
    assert hook.send(b"nonsense") == 400
    assert hook.send(message(), path="/other") == 404
    assert hook.send(b"", **{"Content-Length": str(alerting.LIMIT + 1)}) == 413
    assert hook.send(message(NODE_DOWN)) == 200
    assert len(hook.taken) == 1


def test_who_sends_half_a_message_is_let_go(hook, monkeypatch):
    monkeypatch.setattr("pigsty.clients.webhook._Handler.timeout", 0.2)
    with socket.create_connection(hook.server.server_address) as stalled:
        stalled.sendall(b"POST /alerts HTTP/1.1\r\nAuthorization: Bearer s3cret\r\n"
                        b"Content-Length: 9\r\n\r\n{")  # fmt: skip
        assert hook.send(message(NODE_DOWN)) == 200
    assert len(hook.taken) == 1
