"""Passwords of web users as nginx compares them: SHA-512 in the form of crypt(3)."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha512

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS = 5000
#: Longest salt that the algorithm takes.
SALT = 16


def line(user: str, password: str, salt: str) -> str:
    """Return a user's line of the file that nginx reads."""
    return f"{user}:{crypt(password, salt)}"


@lru_cache(maxsize=1024)  # five thousand rounds each, at every look at the pillar
def crypt(password: str, salt: str) -> str:
    """Return ``$6$<salt>$<hash>``, the same as crypt(3) would.

    Args:
        password: the plain password.
        salt: up to 16 characters of the alphabet ``./0-9A-Za-z``.
    """
    key, grain = password.encode(), salt[:SALT].encode()
    other = sha512(key + grain + key).digest()
    first = key + grain + _repeated(other, len(key))
    length = len(key)
    while length:
        first += other if length & 1 else key
        length >>= 1
    digest = sha512(first).digest()
    keys = _repeated(sha512(key * len(key)).digest(), len(key))
    grains = _repeated(sha512(grain * (16 + digest[0])).digest(), len(grain))
    for number in range(_ROUNDS):
        odd = number & 1
        text = keys if odd else digest
        text += grains if number % 3 else b""
        text += keys if number % 7 else b""
        digest = sha512(text + (digest if odd else keys)).digest()
    return f"$6${grain.decode()}${_encoded(digest)}"


def _repeated(data: bytes, length: int) -> bytes:
    """Return data, repeated up to a length."""
    return (data * (length // len(data) + 1))[:length]


def _encoded(digest: bytes) -> str:
    """Return the digest in crypt's own order and alphabet."""
    text = ""
    a, b, c = 0, 21, 42
    for _ in range(21):
        text += _letters(digest[a] << 16 | digest[b] << 8 | digest[c], 4)
        a, b, c = b + 1, c + 1, a + 1
    return text + _letters(digest[63], 2)


def _letters(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> 6 * place & 63] for place in range(count))
