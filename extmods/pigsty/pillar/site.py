"""The deployment around an inventory: its secret key and its CA certificate."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from pigsty.errors import PillarError
from pigsty.rotation import FILE, Rotation

KEY_BYTES = 32
#: Beside the CA's certificate while it is replaced: the one before, and the one after.
OLD_CA, NEXT_CA = "ca.old.crt", "ca.next.crt"


@dataclass(frozen=True, slots=True)
class Site:
    """What `pigsty init` made once for this deployment.

    Attributes:
        key: the deployment's random key (32 bytes), from which undeclared passwords are derived.
        ca: PEM of the certificate of the CA that signs.
        operator_keys: SSH public keys of the person who runs the admin node, sorted.
        rotation: which passwords and certificates were rotated.
        old_ca: PEM of the CA before this one, while its certificates are still in use.
        next_ca: PEM of the CA after this one, while it is made known.
    """

    key: bytes = field(repr=False)
    ca: str
    operator_keys: tuple[str, ...] = ()
    rotation: Rotation = field(default_factory=Rotation)
    old_ca: str = ""
    next_ca: str = ""

    @property
    def trusted(self) -> str:
        """PEM of every CA that is trusted now, in the order of their age.

        So the change from one signing CA to the next changes nothing in this text.
        """
        known = dict.fromkeys(pem for pem in (self.old_ca, self.ca, self.next_ca) if pem)
        return self.ca if len(known) < 2 else "".join(f"{pem.rstrip()}\n" for pem in known)

    def secret(self, scope: str, name: str) -> str:
        """Return the password of a parameter that the inventory leaves open.

        It is HMAC-SHA-256 of scope, name and generation under the deployment's key: random to
        whoever lacks the key, and the same at every run, so that the pillar stays byte for byte
        the same.

        Args:
            scope: whose password it is: a cluster's name, or ``all``.
            name: the parameter's name.

        Returns:
            24 characters of the URL-safe base64 alphabet (144 bits).
        """
        generation = self.rotation.generation(scope, name)
        text = f"{scope}\0{name}" + (f"\0{generation}" if generation > 1 else "")
        digest = hmac.new(self.key, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest)[:24].decode()

    @classmethod
    def read(cls, key: str | Path, ca: str | Path, ssh: str | Path = "~/.ssh") -> Site:
        """Read the key (hexadecimal), the CA certificates, and the operator's public SSH keys.

        Args:
            key: file of the deployment's key; what was rotated stands beside it.
            ca: file of the CA's certificate; the one before and the one after stand beside it.
            ssh: folder whose ``id*.pub`` are the operator's; it need not exist.

        Raises:
            PillarError: one is missing or broken; the text names the command that makes them.
        """
        try:
            raw = bytes.fromhex(Path(key).read_text(encoding="ascii").strip())
            pem = Path(ca).read_text(encoding="ascii")
            others = [_text(Path(ca).with_name(name)) for name in (OLD_CA, NEXT_CA)]
            rotation = Rotation.parse(_text(Path(key).with_name(FILE)))
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
        return cls(raw, pem, tuple(sorted(keys)), rotation, *others)


def _text(path: Path) -> str:
    """Return a file's text; empty when there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
