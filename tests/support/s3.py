"""An object storage on this host for the sandbox's nodes: S3 by moto, over TLS, with its faults.

Debian has no S3 server. moto answers like Amazon's (requests' signatures aren't checked); what a
repository of pgBackRest needs of it, the scenarios themselves show. Objects live in this process
and are gone with it.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expect import eventually
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import BaseWSGIServer, make_server

from pigsty import pki

BUCKET, REGION, KEY, SECRET = "backups", "eu-test-1", "sandbox", "Sandbox.S3"
#: Bytes that it takes before it says that it is full: a scenario that runs away fills no memory.
ROOM = 512 * 1024**2
#: As Ceph says it. After a 507, which MinIO sends, pgBackRest tries again for a minute.
_FULL = b"<Error><Code>QuotaExceeded</Code></Error>"


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def finish(self) -> None:
        """End the connection as TLS wants it: a client takes a bare end for an attack."""
        super().finish()
        with suppress(OSError, ValueError):
            self.connection.settimeout(1)
            self.connection.unwrap()

    def log_request(self, *_: object, **__: object) -> None:
        """Say nothing."""


class ObjectStorage:
    """A bucket behind TLS.

    Args:
        host: this host's address on the sandbox's bridge.
        port: where it listens.
        folder: for the server's certificate and key; of a CA that is made for it and forgotten.
    """

    def __init__(self, host: str, port: int, folder: Path) -> None:
        self.host, self.port = host, port
        key, ca = pki.create_ca("throw-away", days=2)
        leaf, own = pki.Leaf("storage", dns=(host,), ips=(host,), days=1), pki.make_key()
        signed = pki.sign(key, ca, pki.make_csr(own), leaf, datetime.now(UTC))
        pair = folder / "storage.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(own + signed)
        self.ca = ca.decode()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(pair)
        self._app = create_backend_app("s3")
        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._backend.reset()
        self._backend.create_bucket(BUCKET, REGION)
        self._room, self._full, self._held = ROOM, "", ""
        self._arrived, self._go_on = threading.Event(), threading.Event()
        self._server: BaseWSGIServer | None = None

    def options(self, ca_file: str, **more: Any) -> dict[str, Any]:
        """Return an entry of ``pgbackrest_repo`` that leads here.

        Args:
            ca_file: where the nodes have :attr:`ca`.
            more: options of the repository.
        """
        return {
            "type": "s3",
            "s3_endpoint": self.host,
            "storage_port": self.port,
            "storage_ca_file": ca_file,
            "s3_uri_style": "path",
            "s3_region": REGION,
            "s3_bucket": BUCKET,
            "s3_key": KEY,
            "s3_key_secret": SECRET,
            **more,
        }

    def objects(self, below: str) -> dict[str, bytes]:
        """Return the objects below a path, by name, and how each begins."""
        found = self._backend.buckets[BUCKET].keys
        return {
            name: found[name].value[:64]
            for name in list(found)
            if name.startswith(below.lstrip("/"))
        }

    def start(self) -> None:
        """Answer."""
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        with self._listening() as door:
            server = make_server(
                self.host, self.port, self._answer, True, request_handler=_Handler, fd=door.fileno()
            )
        # The handshake is the connection's own thread's: a client that is slow holds nobody up.
        server.socket = self._tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def _listening(self) -> socket.socket:
        """Listen; a program that is just being started has the old socket until it is itself."""
        address = (self.host, self.port)
        listen = lambda: socket.create_server(address, backlog=256)  # noqa: E731
        return eventually("the port is free", listen, "a port is free again")

    def stop(self) -> None:
        """Stop answering: who asks is refused at once."""
        self._go_on.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Take every connection and never answer, as a machine does whose disks hang."""
        self.stop()
        try:
            with self._listening():
                yield
        finally:
            self.start()

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Refuse every connection, as a machine does whose server is down."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def full(self, part: str) -> Iterator[None]:
        """Have no room for objects with a part in their names."""
        self._full = part
        try:
            yield
        finally:
            self._full = ""

    @contextmanager
    def held(self, part: str) -> Iterator[threading.Event]:
        """Let objects with a part in their names wait; yields what is set when the first came."""
        self._arrived.clear()
        self._go_on.clear()
        self._held = part
        try:
            yield self._arrived
        finally:
            self._held = ""
            self._go_on.set()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("PUT", "POST"):
            if self._held and self._held in environ["PATH_INFO"]:
                self._arrived.set()
                self._go_on.wait(60)
            size = int(environ.get("CONTENT_LENGTH") or 0)
            self._room -= min(self._room, size)
            if not self._room or (self._full and self._full in environ["PATH_INFO"]):
                environ["wsgi.input"].read(size)
                start("403 Forbidden", [("Content-Length", str(len(_FULL)))])
                return [_FULL]
        return self._app(environ, start)
