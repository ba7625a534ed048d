"""The client of Patroni's REST API, against a server that answers as Patroni 4.0 does."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pigsty import pki
from pigsty.clients.patroni import Patroni
from pigsty.errors import ClientError

CLUSTER = {
    "members": [
        {
            "name": "pg-test-2",
            "role": "sync_standby",
            "state": "streaming",
            "api_url": "https://10.1.1.12:8008/patroni",
            "host": "10.1.1.12",
            "port": 5432,
            "timeline": 3,
            "lag": 4096,
            "pending_restart": True,
            "tags": {"clonefrom": True},
        },
        {
            "name": "pg-test-1",
            "role": "leader",
            "state": "running",
            "host": "10.1.1.11",
            "port": 5432,
            "timeline": 3,
        },
        {
            "name": "pg-test-3",
            "role": "replica",
            "state": "creating replica",
            "host": "10.1.1.13",
            "port": 5432,
            "lag": "unknown",
        },
    ],
    "scope": "pg-test",
    "pause": True,
}
STATUS = {
    "state": "running",
    "role": "replica",
    "timeline": 3,
    "replication_state": "streaming",
    "database_system_identifier": "7445123456789012345",
    "pending_restart": True,
    "pending_restart_reason": {"max_connections": {"old_value": "100", "new_value": "200"}},
    "patroni": {"version": "4.0.7", "scope": "pg-test", "name": "pg-test-2"},
}


class Fake(BaseHTTPRequestHandler):
    answers: dict = {}
    requests: list = []

    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.requests.append((self.command, self.path, self.headers.get("Authorization"), body))
        status, text = self.answers.get((self.command, self.path), (404, b"nothing here"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = _answer

    def do_OPTIONS(self):
        status, _ = self.answers.get((self.command, self.path), (503, b""))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """Return a function: answers by (method, path) gives the port of a server."""
    started = []

    def start(**answers):
        handler = type("Handler", (Fake,), {"answers": {}, "requests": []})
        for key, (status, body) in answers.items():
            method, _, path = key.partition("_")
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            handler.answers[method, f"/{path.replace('__', '-')}"] = (status, text)
        http = HTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        started.append(http)
        return http.server_port, handler.requests

    start.started = started
    yield start
    for http in started:
        http.shutdown()
        http.server_close()


def client(port, **kwargs):
    return Patroni("127.0.0.1", port, ca=None, timeout=2, **kwargs)


def test_the_members_of_a_cluster(server):
    port, _ = server(GET_cluster=(200, CLUSTER))
    cluster = client(port).cluster()
    assert [member.name for member in cluster.members] == ["pg-test-1", "pg-test-2", "pg-test-3"]
    assert cluster.paused and cluster.leader.name == "pg-test-1"
    leader, standby, newcomer = cluster.members
    assert (leader.lag, leader.pending_restart, leader.timeline) == (None, False, 3)
    assert (standby.role, standby.lag, standby.pending_restart) == ("sync_standby", 4096, True)
    assert newcomer.lag is None and newcomer.timeline is None
    assert [member.running for member in cluster.members] == [True, True, False]


def test_a_cluster_without_a_leader(server):
    port, _ = server(GET_cluster=(200, {"members": [], "scope": "x"}))
    assert client(port).cluster().leader is None


def test_a_member_of_itself(server):
    port, _ = server(GET_patroni=(200, STATUS))
    found = client(port).status()
    assert (found.name, found.scope, found.role, found.timeline) == (
        "pg-test-2",
        "pg-test",
        "replica",
        3,
    )
    assert found.running and not found.leader and not found.unlocked
    assert found.pending_restart == ("max_connections",)
    assert found.system == "7445123456789012345"


def test_older_versions_say_master_and_give_no_reason(server):
    old = {"state": "running", "role": "master", "pending_restart": True}
    port, _ = server(GET_patroni=(200, old))
    found = client(port).status()
    assert found.role == "primary" and found.leader and found.pending_restart == ("?",)


def test_a_member_that_has_nothing_yet(server):
    port, _ = server(GET_patroni=(200, {"state": "stopped", "cluster_unlocked": True}))
    found = client(port).status()
    assert not found.running and found.unlocked and found.role == "uninitialized"
    assert found.system == ""


def test_changes_carry_the_password_and_looks_may(server):
    port, requests = server(POST_reload=(202, b"reload scheduled"), PATCH_config=(200, {"ttl": 20}))
    patroni = client(port, username="postgres", password="pass:word")
    assert patroni.reload() == "reload scheduled"
    assert patroni.patch_config({"ttl": 20}) == {"ttl": 20}
    token = base64.b64encode(b"postgres:pass:word").decode()
    assert [request[2] for request in requests] == [f"Basic {token}"] * 2
    assert json.loads(requests[1][3]) == {"ttl": 20}


def test_health_checks_as_haproxy_asks(server):
    port, _ = server(OPTIONS_primary=(200, b""))
    assert client(port).healthy("/primary") is True
    assert client(port).healthy("/read-only") is False


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((401, b"no auth header received"), "401 no auth header received"),
        ((200, b"<html>"), "is that Patroni"),
        ((200, b"[]"), "not an object"),
    ],
)
def test_bad_answers_are_errors_that_name_the_address(server, answer, text):
    port, _ = server(GET_config=answer)
    with pytest.raises(ClientError, match=text) as caught:
        client(port, username="u", password="Canary").config()
    assert f"127.0.0.1:{port}/config" in str(caught.value)
    assert "Canary" not in str(caught.value)


def test_nobody_there():
    with pytest.raises(ClientError, match=r"http://127\.0\.0\.1:1/patroni"):
        client(1).status()


@pytest.fixture
def secure(server, tmp_path):
    """Return a function: a server with TLS; gives its port, its CA's file and another CA's."""

    def start(*ips, **answers):
        authorities = [pki.create_ca(name, 1, datetime.now(UTC)) for name in ("ours", "theirs")]
        key = pki.make_key()
        leaf = pki.Leaf("pg-test-1.pgsql", ("pg-test-1",), ips, 1)
        certificate = pki.sign(*authorities[0], pki.make_csr(key), leaf, datetime.now(UTC))
        names = {
            "key": key,
            "crt": certificate,
            "ours": authorities[0][1],
            "theirs": authorities[1][1],
        }
        for name, text in names.items():
            (tmp_path / name).write_bytes(text)
        port, _ = server(**answers)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
        http = server.started[-1]
        http.socket = context.wrap_socket(http.socket, server_side=True)
        return port, str(tmp_path / "ours"), str(tmp_path / "theirs")

    return start


def test_tls_is_verified(secure):
    port, ours, theirs = secure("127.0.0.1", GET_patroni=(200, STATUS))
    assert Patroni("127.0.0.1", port, ca=ours, timeout=2).status().name == "pg-test-2"
    with pytest.raises(ClientError, match="certificate verify failed"):
        Patroni("127.0.0.1", port, ca=theirs, timeout=2).status()


def test_a_certificate_of_another_member_is_refused(secure):
    port, ours, _ = secure("10.9.9.9", GET_patroni=(200, STATUS))
    with pytest.raises(ClientError, match="IP address mismatch"):
        Patroni("127.0.0.1", port, ca=ours, timeout=2).status()
