"""SSH keys of the admin user, and who may log in as it."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pigsty.render.files import text

_KIND = b"ssh-ed25519"
#: The private part of OpenSSH's format is padded to this many bytes when it is not encrypted.
_BLOCK = 8


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key pair in OpenSSH's formats.

    Attributes:
        private: the private key's file.
        public: the public key's line.
    """

    private: str = field(repr=False)
    public: str


@lru_cache(maxsize=4096)
def key_pair(secret: str, comment: str) -> KeyPair:
    """Return the key pair that follows from a secret: the same secret gives the same keys.

    Args:
        secret: at least 128 random bits, as text.
        comment: stands behind the public key.

    Source of the format: OpenSSH, ``PROTOCOL.key``.
    """
    seed = hashlib.sha256(b"pigsty ssh key\0" + secret.encode()).digest()
    key = Ed25519PrivateKey.from_private_bytes(seed)
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    public = _string(_KIND) + _string(raw)
    # Two equal numbers tell a reader that decryption worked; random ones would change the file
    # every time.
    check = hashlib.sha256(seed).digest()[:4]
    private = check + check + _string(_KIND) + _string(raw) + _string(seed + raw)
    private += _string(comment.encode())
    private += bytes(range(1, -len(private) % _BLOCK + 1))
    blob = b"openssh-key-v1\0" + _string(b"none") + _string(b"none") + _string(b"")
    blob += struct.pack(">I", 1) + _string(public) + _string(private)
    body = base64.b64encode(blob).decode()
    rows = [body[at : at + 70] for at in range(0, len(body), 70)]
    return KeyPair(
        private="\n".join(
            ("-----BEGIN OPENSSH PRIVATE KEY-----", *rows, "-----END OPENSSH PRIVATE KEY-----", "")
        ),
        public=f"{_KIND.decode()} {base64.b64encode(public).decode()} {comment}",
    )


def _string(data: bytes) -> bytes:
    """Return bytes with their length before them."""
    return struct.pack(">I", len(data)) + data


def authorized(keys: Iterable[str]) -> list[str]:
    """Return the lines of authorized keys: trimmed, each key once, without comments."""
    found: dict[str, str] = {}
    for line in keys:
        row = line.strip()
        if row and not row.startswith("#"):
            # The comment is no part of a key: the same key under two names is one.
            found.setdefault(" ".join(row.split()[:2]), row)
    return list(found.values())


#: Services that the limited admin may start, stop, restart and reload. "status" needs no root, and
#: would open a pager, out of which a shell is one key away.
_SERVICES = ("patroni", "pgbouncer", "haproxy", "etcd", "vip-manager", "chrony", "keepalived")


def sudoers(user: str, level: str) -> str | None:
    """Return the sudo rule of the admin user, or None for none.

    Args:
        user: login name.
        level: ``nopass``, ``all`` (asks for the password), ``limit`` (certain services, nothing
            else)
            or ``none``.
    """
    rules = {"nopass": "NOPASSWD: ALL", "all": "ALL"}
    verbs = ("start", "stop", "restart", "reload")
    rules["limit"] = "NOPASSWD: " + ", ".join(
        f"/usr/bin/systemctl {verb} {service}" for service in _SERVICES for verb in verbs
    )
    return text(f"{user} ALL=(ALL:ALL) {rules[level]}") if level in rules else None
