"""The health of etcd in a word, asked of a real TLS server on loopback."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pigsty.clients import health

LOCAL = "127.0.0.1"


def certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for an address, which is its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    crt, pem = folder / f"{address}.crt", folder / f"{address}.key"
    crt.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return crt, pem


class Etcd(BaseHTTPRequestHandler):
    status, body = 200, b'{"health":"true"}'

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_arguments: object) -> None: ...


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Etcd], int]]:
    crt, key = certificate(tmp_path, LOCAL)
    monkeypatch.setattr(health, "CA", crt)
    monkeypatch.setattr(health, "CERTIFICATES", ((tmp_path / "no", key), (crt, key)))
    handler = type("Handler", (Etcd,), {})
    server = HTTPServer((LOCAL, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    context.load_verify_locations(crt)
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler, server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_healthy_member_that_wants_a_certificate(served: tuple[type[Etcd], int]) -> None:
    assert health.etcd(LOCAL, served[1]) == "ok"


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, b'{"health":"false"}'), (200, b'{"health":"false"}'), (200, b"[]"), (503, b"{}")],
)
def test_a_member_without_a_leader(
    served: tuple[type[Etcd], int], status: int, body: bytes
) -> None:
    served[0].status, served[0].body = status, body
    assert health.etcd(LOCAL, served[1]) == "unhealthy"


def test_what_is_no_etcd(served: tuple[type[Etcd], int]) -> None:
    served[0].body = b"<html>"
    assert health.etcd(LOCAL, served[1]).startswith("unreachable: ")


def test_a_certificate_of_somebody_else_is_not_believed(
    served: tuple[type[Etcd], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, _ = certificate(tmp_path, "127.0.0.2")
    monkeypatch.setattr(health, "CA", other)
    assert "certificate verify failed" in health.etcd(LOCAL, served[1])


def test_nobody_there(served: tuple[type[Etcd], int]) -> None:
    assert health.etcd(LOCAL, 1).startswith("unreachable: ")


def test_a_machine_that_can_not_ask_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CA", tmp_path / "none")
    assert health.etcd(LOCAL).startswith("unknown: ")
