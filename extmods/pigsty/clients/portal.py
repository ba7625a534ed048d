"""A connection to the portal of an infra node, behind which its programs answer."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path

from pigsty.errors import PigstyError

#: The CA's certificate, as it stands on every node.
CA = Path("/etc/pki/ca.crt")


def connection(
    host: str, port: int, timeout: float, ca: Path | None, error: type[PigstyError]
) -> http.client.HTTPConnection:
    """Return a connection that isn't open yet.

    Args:
        host: address of the infra node.
        port: of its portal.
        timeout: seconds for one question.
        ca: file of the CA's certificate; None for a portal that speaks no TLS.
        error: raised when there is no such file.
    """
    if ca is None:
        return http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as missing:
        raise error(f"{ca}: {missing.strerror}: run this on a node") from missing
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
