"""Password verifiers as PostgreSQL keeps them, the same ones for the same password.

PostgreSQL draws a random salt whenever it hashes a password, so nobody could tell whether a
declared password is already set. Here the salt is an HMAC of user and password under the
deployment's key: as unpredictable as a random one to whoever lacks the key, different for every
user and deployment, and the same at every run. The verifiers in ``pg_authid`` and in PgBouncer's
user list are then the same text, which lets PgBouncer pass a SCRAM login through to the server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import stringprep
import unicodedata
from functools import lru_cache

#: PostgreSQL's default of ``scram_iterations``.
ITERATIONS = 4096
#: PostgreSQL's length of a SCRAM salt, in bytes.
SALT_BYTES = 16

_HASHED = re.compile(
    r"md5[0-9a-f]{32}|SCRAM-SHA-256\$[1-9]\d*:[A-Za-z0-9+/]+={0,2}\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}="
)

#: What RFC 4013 §2.3 prohibits in a prepared string; the last is §2.5, unassigned code points.
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def is_hashed(password: str) -> bool:
    """Tell whether a password has the form that PostgreSQL stores (SCRAM-SHA-256 or md5)."""
    return _HASHED.fullmatch(password) is not None


@lru_cache(maxsize=65536)
def verifier(password: str, user: str, key: bytes, method: str = "scram-sha-256") -> str:
    """Return what ``pg_authid.rolpassword`` holds for a password; cached, as SCRAM costs time.

    Args:
        password: in plain text, or already hashed, which is returned as it is.
        user: the role's name (md5 mixes it in; here it also goes into the salt).
        key: the deployment's key, from which the salt is derived.
        method: ``scram-sha-256`` or ``md5``, as the parameter ``pg_pwd_enc``.

    Returns:
        ``SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`` (RFC 5802 §3, RFC 7677) or
        ``md5`` and 32 hexadecimal digits.

    Raises:
        ValueError: the password is empty, which no login could use.
    """
    if not password:
        raise ValueError(f"the password of {user!r} is empty")
    if is_hashed(password):
        return password
    if method == "md5":
        return "md5" + hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    message = b"\0".join((b"scram-salt", user.encode(), password.encode()))
    return build(password, hmac.digest(key, message, "sha256")[:SALT_BYTES])


def build(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """Return the SCRAM-SHA-256 verifier of a password for a given salt.

    Formula of RFC 5802 §3: SaltedPassword = Hi(Normalize(password), salt, i);
    StoredKey = H(HMAC(SaltedPassword, "Client Key"));
    ServerKey = HMAC(SaltedPassword, "Server Key").
    """
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(iterations, *parts)


def saslprep(password: str) -> bytes:
    """Prepare a password by RFC 4013, as PostgreSQL and its clients do before they hash it.

    Where the profile rejects the string, its bytes are used unprepared: PostgreSQL does the same on
    both ends, so that such a password still works. Plain ASCII is never touched.

    Args:
        password: the text; without NUL, which PostgreSQL can't take.

    Returns:
        UTF-8 bytes.
    """
    raw = password.encode()
    if password.isascii():
        return raw
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in password
        if stringprep.in_table_c12(char) or not stringprep.in_table_b1(char)
    )
    # PostgreSQL looks for what is prohibited before it normalises, RFC 3454 after: follow the one
    # that compares. It matters for a few letters alone, such as U+0341.
    if not mapped or any(test(char) for char in mapped for test in _PROHIBITED):
        return raw
    if not _bidirectional_ok(mapped):
        return raw
    return unicodedata.normalize("NFKC", mapped).encode()


def _bidirectional_ok(text: str) -> bool:
    """RFC 3454 §6: right-to-left text has no left-to-right letter, and RTL at both ends."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    if any(map(stringprep.in_table_d2, text)):
        return False
    return stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
