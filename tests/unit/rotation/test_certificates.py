"""Which daemons show which certificate, what they show, and how it is told."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pigsty import pki, topology
from pigsty.clients import served
from pigsty.pillar import compile_pillar
from pigsty.pillar.site import Site
from pigsty.platform import of_grains
from pigsty.render.certificates import PLACES, endpoints, leaves
from pigsty.rotation import Rotation
from pigsty_cli import rotating

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ROOT / "pillar/inventory/sandbox.yml"
NOW = datetime(2026, 11, 21, 7, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("role", sorted(PLACES))
def test_the_table_names_the_files_that_the_states_make(role):
    place = PLACES[role]
    states = "".join(path.read_text() for path in (ROOT / "states").rglob("*.sls"))
    states = states.replace("{{ pgsql['certificates'] }}", "/pg/cert")
    assert f"name: {place.certificate}\n" in states
    assert role in ("infra", "node") or f"ca: {place.authorities}\n" in states


def test_every_daemon_with_a_certificate_is_looked_at():
    found = topology.load(SANDBOX)
    pigsty = compile_pillar(found, "10.10.10.10", Site(bytes(32), "CA"), of_grains({}))
    seen = {(role, e.name, e.port) for role in PLACES for e in endpoints(pigsty, role)}
    expected = {
        ("etcd", "etcd", 2379),
        ("infra", "nginx", 443),
        ("pgsql", "postgres", 5432),
        ("pgsql", "patroni", 8008),
        ("pgsql", "pgbouncer", 6432),
    }
    if "client_tls_sslmode = disable" in pigsty["pgsql"]["pgbouncer"]["ini"]:
        expected.discard(("pgsql", "pgbouncer", 6432))
    assert seen == expected
    assert endpoints({"etcd": None}, "etcd") == []


@pytest.fixture
def authority():
    return pki.create_ca("pigsty-ca", 1000, NOW - timedelta(days=1))


def signed(authority, leaf, at=NOW):
    key = pki.make_key()
    return key, pki.sign(*authority, pki.make_csr(key), leaf, at)


@pytest.mark.parametrize("postgres", [False, True])
def test_a_server_is_asked_for_its_certificate(tmp_path, authority, postgres):
    key, cert = signed(authority, pki.Leaf("x", ("localhost",), (), 10))
    for name, data in (("key", key), ("crt", cert)):
        (tmp_path / name).write_bytes(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        plain, _ = listener.accept()
        if postgres:
            assert plain.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
            plain.sendall(b"S")
        with context.wrap_socket(plain, server_side=True) as secure:
            secure.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    shown = served.certificate("127.0.0.1", port, postgres=postgres)
    thread.join(timeout=10)
    listener.close()
    assert shown == ssl.PEM_cert_to_DER_cert(cert.decode())


def test_who_does_not_answer_shows_none():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert served.certificate("127.0.0.1", port) is None


def test_a_row_says_why_a_certificate_will_be_made_anew(authority):
    found = topology.load(SANDBOX)
    host = "10.10.10.11"
    leaf = leaves(found, found.nodes[host])["pgsql"]
    _key, cert = signed(authority, leaf)
    data = {host: {"leaves": [{"role": "pgsql", "path": "/pg/cert/server.crt",
            "pem": cert.decode(), "outdated": ["pgbouncer"]}]}}  # fmt: skip
    site = Site(bytes(32), authority[1].decode())
    row = rotating.rows(found, site, data, NOW)[0]
    assert (row["state"], row["days"], row["outdated"]) == ("valid", 365, ["pgbouncer"])
    assert "pg-test-1" in row["names"]
    later = Rotation().new_certificates([(host, "pgsql")], NOW + timedelta(seconds=1))
    rotated = Site(bytes(32), authority[1].decode(), rotation=later)
    assert rotating.rows(found, rotated, data, NOW)[0]["state"] == pki.ROTATED
    # What is made after that moment is good, and is not made again.
    _key, new = signed(authority, leaf, NOW + timedelta(seconds=1))
    data[host]["leaves"][0]["pem"] = new.decode()
    assert rotating.rows(found, rotated, data, NOW + timedelta(hours=2))[0]["state"] == "valid"


def test_certificates_of_some_modules_are_chosen():
    found = topology.load(SANDBOX)
    everything = rotating.roles(found, found.nodes, ())
    assert len(everything) == 10
    assert rotating.roles(found, found.nodes, ("etcd",)) == [("10.10.10.10", "etcd")]
