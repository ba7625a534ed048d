"""The client against a server that speaks TLS and asks for a certificate, as etcd does."""

from __future__ import annotations

import json
import ssl
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pigsty import pki
from pigsty.clients.etcd import Etcd, EtcdError, Unreachable, encode


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A CA, a certificate by it, and one by another CA."""
    path = tmp_path_factory.mktemp("tls")
    now = datetime.now(UTC)
    leaf = pki.Leaf("etcd-1.etcd", ("localhost",), ("127.0.0.1",), 10)
    for prefix in ("", "other-"):
        ca_key, ca = pki.create_ca("pigsty-ca", 10)
        key = pki.make_key()
        (path / f"{prefix}ca.crt").write_bytes(ca)
        (path / f"{prefix}own.key").write_bytes(key)
        (path / f"{prefix}own.crt").write_bytes(pki.sign(ca_key, ca, pki.make_csr(key), leaf, now))
    return path


@pytest.fixture
def server(folder):
    """A server whose answers a test sets by path; it remembers what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length) or b"null")
            self.server.asked.append((self.path, body, self.headers.get("Authorization")))
            status, answer = self.server.answers.get(self.path, (404, "nothing here"))
            data = answer if isinstance(answer, str) else json.dumps(answer)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(data.encode())

        do_GET = do_POST

        def log_message(self, *_):
            """Say nothing."""

    class Quiet(HTTPServer):
        def handle_error(self, *_):
            """A client that is refused is no news."""

    httpd = Quiet(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.crt")
    context.load_cert_chain(folder / "own.crt", folder / "own.key")
    context.verify_mode = ssl.CERT_REQUIRED
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    httpd.answers, httpd.asked = {}, []
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


def client(folder, port, prefix="", ca="ca.crt"):
    files = (folder / ca, folder / f"{prefix}own.crt", folder / f"{prefix}own.key")
    return Etcd("127.0.0.1", port, *(str(file) for file in files))


@pytest.fixture
def etcd(folder, server):
    return client(folder, server.server_port)


def test_health(etcd, server):
    assert etcd.healthy() is False
    server.answers["/health"] = (200, {"health": "true"})
    assert etcd.healthy() is True
    server.answers["/health"] = (200, {"health": "false"})
    assert etcd.healthy() is False
    server.answers["/health"] = (503, {"health": "false"})
    assert etcd.healthy() is False


def test_a_server_of_another_ca_is_not_spoken_to(folder, server):
    server.answers["/health"] = (200, {"health": "true"})
    assert client(folder, server.server_port, ca="other-ca.crt").healthy() is False
    assert server.asked == []


def test_a_client_of_another_ca_is_not_served(folder, server):
    server.answers["/health"] = (200, {"health": "true"})
    assert client(folder, server.server_port, prefix="other-").healthy() is False
    assert server.asked == []


def test_nobody_there_is_unreachable(folder):
    with pytest.raises(Unreachable, match="doesn't answer"):
        client(folder, 1).call("auth/status")


def test_no_certificate_yet_is_unreachable_too(tmp_path):
    missing = str(tmp_path / "x")
    assert Etcd("127.0.0.1", 1, missing, missing, missing).healthy() is False


def test_a_token_is_sent_after_authentication(etcd, server):
    server.answers["/v3/auth/authenticate"] = (200, {"token": "abc.1"})
    server.answers["/v3/auth/status"] = (200, {"enabled": True, "authRevision": "17"})
    etcd.authenticate("root", "Secret")
    assert etcd.auth_revision() == 17
    assert server.asked[0][1:] == ({"name": "root", "password": "Secret"}, None)
    assert server.asked[1][2] == "abc.1"


def test_a_refusal_carries_the_message_and_no_password(etcd, server):
    text = "etcdserver: authentication failed, invalid user ID or password"
    server.answers["/v3/auth/authenticate"] = (400, {"code": 3, "message": text})
    with pytest.raises(EtcdError, match="authentication failed") as caught:
        etcd.authenticate("root", "Secret")
    assert "Secret" not in str(caught.value)
    assert etcd.knows("root", "Secret") is False


def test_an_older_gateway_says_error(etcd, server):
    server.answers["/v3/auth/status"] = (400, {"error": "old words", "code": 3})
    with pytest.raises(EtcdError, match="old words"):
        etcd.auth_revision()


def test_an_older_etcd_tells_no_revision(etcd, server):
    server.answers["/v3/auth/status"] = (404, {"error": "Not Found", "code": 5})
    assert etcd.auth_revision() is None


def test_an_answer_that_is_no_json_is_an_error(etcd, server):
    server.answers["/v3/auth/status"] = (400, "CommonName of client … will be ignored")
    with pytest.raises(EtcdError, match="CommonName"):
        etcd.auth_revision()


@pytest.mark.parametrize("text", ["user name already exists", "role already granted"])
def test_what_another_member_did_first_is_done(etcd, server, text):
    server.answers["/v3/auth/user/add"] = (400, {"code": 9, "message": text})
    etcd.do("auth/user/add", {"name": "a"})


def test_another_refusal_is_not_swallowed(etcd, server):
    server.answers["/v3/auth/user/add"] = (400, {"code": 7, "message": "permission denied"})
    with pytest.raises(EtcdError):
        etcd.do("auth/user/add", {"name": "a"})


def test_users_and_roles_are_read(etcd, server):
    server.answers |= {
        "/v3/auth/user/list": (200, {"users": ["root"]}),
        "/v3/auth/user/get": (200, {"roles": ["root"]}),
        "/v3/auth/role/list": (200, {"roles": ["pg-test"]}),
        "/v3/auth/role/get": (
            200,
            {
                "perm": [
                    {
                        "permType": "READWRITE",
                        "key": "L3BnL3BnLXRlc3Qv",
                        "range_end": "L3BnL3BnLXRlc3Qw",
                    }
                ]
            },
        ),
    }
    assert etcd.users() == {"root": ("root",)}
    assert etcd.roles() == {"pg-test": (("READWRITE", "/pg/pg-test/", "/pg/pg-test0"),)}


def test_an_empty_store_has_none(etcd, server):
    server.answers |= {"/v3/auth/user/list": (200, {}), "/v3/auth/role/list": (200, {})}
    assert etcd.users() == {}
    assert etcd.roles() == {}


def test_members_that_never_ran_have_no_name(etcd, server):
    rows = [
        {"ID": "9", "name": "etcd-1", "peerURLs": ["https://a"], "clientURLs": ["https://b"]},
        {"ID": "10", "peerURLs": ["https://c"], "isLearner": True},
    ]
    server.answers["/v3/cluster/member/list"] = (200, {"members": rows})
    first, second = etcd.members()
    assert (first.id, first.name, first.clients) == ("9", "etcd-1", ("https://b",))
    assert (second.name, second.clients, second.learner) == ("", (), True)


def test_a_lock_is_taken_when_it_is_free(etcd, server):
    server.answers |= {
        "/v3/lease/grant": (200, {"ID": "77"}),
        "/v3/kv/txn": (200, {"succeeded": True}),
    }
    assert etcd.lock("/k", "etcd-1", 30) == "77"
    assert server.asked[1][1]["success"][0]["request_put"]["lease"] == "77"


def test_a_lock_that_is_held_leaves_no_lease_behind(etcd, server):
    server.answers |= {
        "/v3/lease/grant": (200, {"ID": "77"}),
        "/v3/kv/txn": (200, {}),
        "/v3/lease/revoke": (200, {}),
    }
    assert etcd.lock("/k", "etcd-1", 30) is None
    assert server.asked[-1][:2] == ("/v3/lease/revoke", {"ID": "77"})


@pytest.mark.parametrize(
    ("keys", "led"),
    [
        (["leader"], True),
        (["config", "members/leader-1"], False),
        (["0/config", "2/leader"], True),
        (["0/config", "0/members/a-1"], False),
        (["x/leader"], False),
        (["0/members/leader"], False),
        ([], False),
    ],
)
def test_a_cluster_or_a_group_of_one_has_a_leader_or_not(etcd, server, keys, led):
    rows = [{"key": encode(f"/pg/a/{key}")} for key in keys]
    server.answers["/v3/kv/range"] = (200, {"kvs": rows} if rows else {})
    assert etcd.led("/pg/a/", "/pg/a0") is led
    assert server.asked[-1][1]["keys_only"] is True
