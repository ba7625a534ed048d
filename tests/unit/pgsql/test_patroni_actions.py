"""What the client sends to Patroni for each operation, against a server that notes it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pigsty.clients.patroni_actions import Actions
from pigsty.errors import ClientError


@pytest.fixture
def patroni():
    """A client, and the requests that its server got; paths in `refused` answer 412."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            authorized = bool(self.headers.get("Authorization"))
            got.append((self.command, self.path, json.loads(body), authorized))
            status, text = (412, b"not now") if self.path in refused else (200, b"{}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_PATCH = answer

        def log_message(self, *args):
            pass

    got, refused = [], set()
    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    client = Actions("127.0.0.1", http.server_port, ca=None, username="u", password="p", timeout=2)
    yield client, got, refused
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        (("switchover", "a", "b"), ("POST", "/switchover", {"leader": "a", "candidate": "b"})),
        (("failover", "b"), ("POST", "/failover", {"candidate": "b"})),
        (("restart",), ("POST", "/restart", {})),
        (("reinitialize",), ("POST", "/reinitialize", {"force": True})),
        (("pause", True), ("PATCH", "/config", {"pause": True})),
        (("pause", False), ("PATCH", "/config", {"pause": None})),
    ],
)
def test_each_operation_is_one_request_with_the_password(patroni, call, request_):
    client, got, _ = patroni
    getattr(client, call[0])(*call[1:])
    assert got == [(*request_, True)]


def test_a_refusal_carries_what_patroni_says(patroni):
    client, _, refused = patroni
    refused.add("/switchover")
    with pytest.raises(ClientError, match="412 not now"):
        client.switchover("a", "b")
