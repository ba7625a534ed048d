"""Which certificate a server shows to whoever connects: PostgreSQL's way of beginning TLS, too."""

from __future__ import annotations

import socket
import ssl
import struct

from pigsty.deadlines import DEADLINES

#: What a client of PostgreSQL (or PgBouncer) sends to ask for TLS, and the answer "yes".
_SSL_REQUEST, _YES = struct.pack("!ii", 8, 80877103), b"S"


def certificate(host: str, port: int, *, postgres: bool = False) -> bytes | None:
    """Return the certificate that a server shows.

    Args:
        host: its address.
        port: its port.
        postgres: whether it speaks PostgreSQL's protocol.

    Returns:
        The certificate, DER; None when nobody answers, or not with TLS.
    """
    context = ssl.create_default_context()
    # It is compared with a file byte for byte, which says more than its name and issuer would.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), DEADLINES["pki.look"]) as plain:
            if postgres:
                plain.sendall(_SSL_REQUEST)
                if plain.recv(1) != _YES:
                    return None
            with context.wrap_socket(plain) as secure:
                return secure.getpeercert(binary_form=True)
    except OSError:
        return None
