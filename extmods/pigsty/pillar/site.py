"""The deployment around an inventory: its secret key and its CA certificate."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from pigsty.errors import PillarError

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Site:
    """What `pigsty init` made once for this deployment.

    Attributes:
        key: the deployment's random key (32 bytes), from which undeclared passwords are derived.
        ca: PEM of the CA certificate.
        operator_keys: SSH public keys of the person who runs the admin node, sorted.
    """

    key: bytes = field(repr=False)
    ca: str
    operator_keys: tuple[str, ...] = ()

    def secret(self, scope: str, name: str) -> str:
        """Return the password of a parameter that the inventory leaves open.

        It is HMAC-SHA-256 of scope and name under the deployment's key: random to whoever lacks the
        key, and the same at every run, so that the pillar stays byte for byte the same.

        Args:
            scope: whose password it is: a cluster's name, or ``all``.
            name: the parameter's name.

        Returns:
            24 characters of the URL-safe base64 alphabet (144 bits).
        """
        digest = hmac.new(self.key, f"{scope}\0{name}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest)[:24].decode()

    @classmethod
    def read(cls, key: str | Path, ca: str | Path, ssh: str | Path = "~/.ssh") -> Site:
        """Read the key (hexadecimal), the CA certificate, and the operator's public SSH keys.

        Args:
            key: file of the deployment's key.
            ca: file of the CA's certificate.
            ssh: folder whose ``id*.pub`` are the operator's; it need not exist.

        Raises:
            PillarError: one is missing or broken; the text names the command that makes them.
        """
        try:
            raw = bytes.fromhex(Path(key).read_text(encoding="ascii").strip())
            pem = Path(ca).read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise PillarError(
                f"this machine is no admin node yet ({error}): run `pigsty init` first"
            ) from error
        if len(raw) != KEY_BYTES:
            raise PillarError(
                f"{key} holds {len(raw)} bytes, not {KEY_BYTES}: restore it from a backup"
            )
        try:
            public = [file.read_text("utf-8") for file in Path(ssh).expanduser().glob("id*.pub")]
        except (OSError, RuntimeError, UnicodeDecodeError):
            public = []
        keys = {line.strip() for text in public for line in text.splitlines() if line}
        return cls(key=raw, ca=pem, operator_keys=tuple(sorted(keys)))
