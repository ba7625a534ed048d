"""Is a service healthy? The answer in a word or two, for a person; never an exception."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from pathlib import Path

from pigsty.deadlines import DEADLINES

#: The CA's certificate, as it stands on every node.
CA = Path("/etc/pki/ca.crt")
#: Certificates and keys to show to etcd, which wants one: an infra node's, or a member's own.
CERTIFICATES = (
    (Path("/etc/pki/infra.crt"), Path("/etc/pki/infra.key")),
    (Path("/etc/etcd/server.crt"), Path("/etc/etcd/server.key")),
)
ETCD_PORT = 2379


def etcd(host: str, port: int = ETCD_PORT, timeout: float = DEADLINES["status.request"]) -> str:
    """Return how an etcd member is.

    Args:
        host: its address.
        port: of its clients.
        timeout: seconds.

    Returns:
        ``ok``, ``unhealthy`` (it runs, but has no leader or an alarm), ``unreachable: …``, or
        ``unknown: …`` on a machine that can't ask.
    """
    if not CA.exists():
        return f"unknown: {CA} isn't here"
    try:
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=_context())
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            body = json.loads(answer.read())
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"unreachable: {error or type(error).__name__}"
    return "ok" if answer.status == http.HTTPStatus.OK and _says_yes(body) else "unhealthy"


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=CA)
    for certificate, key in CERTIFICATES:
        if certificate.exists() and os.access(key, os.R_OK):
            context.load_cert_chain(certificate, key)
            break
    return context


def _says_yes(body: object) -> bool:
    # etcd writes a string, and older releases a boolean.
    return isinstance(body, dict) and body.get("health") in ("true", True)
