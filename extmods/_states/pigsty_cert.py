"""Certificates of this node: made when missing, renewed when they must be, as part of every apply.

The private key is made here and never leaves. A changed certificate is a change of this state: let
the daemon that uses it watch the state, so that it reloads.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import pki
from pigsty.render.files import File

__virtualname__ = "pigsty_cert"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def present(
    name: str,
    key: str,
    role: str,
    user: str = "root",
    group: str = "root",
    key_mode: str = "0600",
    ca: str | None = None,
) -> dict[str, Any]:
    """Have a private key and its certificate, signed by the deployment's CA.

    Args:
        name: path of the certificate.
        key: path of the private key.
        role: whose certificate: ``node``, ``pgsql``, ``etcd`` or ``infra``; what it says is decided
            on the master.
        user: owner of the files.
        group: group of the files.
        key_mode: permissions of the private key.
        ca: where the certificates of all trusted CAs are wanted too, or None.
    """
    result: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    try:
        meta = __pillar__["pigsty"]["meta"]
        if role not in meta["certs"]:
            raise CommandExecutionError(f"this node has no role {role!r}, so no certificate for it")
        leaf = pki.Leaf.from_dict(meta["certs"][role])
        old_key = __salt__["pigsty_file.read"](key)
        old_cert = __salt__["pigsty_file.read"](name)
        new_key, public = _key(old_key)
        issuer = meta["issuer"].encode()
        reason = pki.needs_renewal(_bytes(old_cert), leaf, issuer, datetime.now(UTC), public)
        if reason == pki.ROTATED:
            new_key, public = _key(None)
        files = [
            File(key, new_key, mode=key_mode, user=user, group=group, secret=True),
            File(name, old_cert if reason is None else None, user=user, group=group),
        ]
        if ca:
            files.append(File(ca, meta["ca"], user=user, group=group))
        changes = _changes(files, name, reason, leaf)
        result["changes"] = changes
        if not changes:
            result["comment"] = f"{leaf.describe()}: valid"
            return result
        if __opts__["test"]:
            result["result"] = None
            result["comment"] = f"{leaf.describe()}: would be made, {reason or 'files differ'}"
            return result
        signed = old_cert or ""
        if reason is not None:
            request = pki.make_csr(new_key.encode()).decode()
            signed = __salt__["pigsty_pki.request"](role, request)
            _check(signed, leaf, issuer, public)
            files[1] = File(name, signed, user=user, group=group)
        __salt__["pigsty_file.converge"](files)
        result["comment"] = f"{pki.describe(signed.encode())}: {reason or 'files set right'}"
    except (CommandExecutionError, pki.PkiError, KeyError) as error:
        what = f"missing in the pillar: {error}" if isinstance(error, KeyError) else str(error)
        result.update(result=False, changes={}, comment=what)
    return result


def _key(old: str | None) -> tuple[str, bytes]:
    """Return the key at hand, or a new one where none can be used, and its public part."""
    if old is not None:
        try:
            return old, pki.public_key(old.encode())
        except pki.PkiError:
            pass
    new = pki.make_key()
    return new.decode(), pki.public_key(new)


def _bytes(text: str | None) -> bytes | None:
    """Return a text as bytes; a file that isn't text is no certificate."""
    return None if text is None else text.encode("utf-8", errors="surrogateescape")


def _changes(files: list[File], name: str, reason: str | None, leaf: pki.Leaf) -> dict[str, Any]:
    """Return what will change: the same words whether it is a test or not."""
    kept = [file for file in files if file.path != name or reason is None]
    changes: dict[str, Any] = __salt__["pigsty_file.changes"](kept)
    if reason is not None:
        changes[name] = {"old": reason, "new": leaf.describe()}
    return changes


def _check(signed: str, leaf: pki.Leaf, issuer: bytes, public: bytes) -> None:
    """Refuse a certificate that would have to be renewed at once, at every apply again."""
    wrong = pki.needs_renewal(signed.encode(), leaf, issuer, datetime.now(UTC), public)
    if wrong is not None:
        raise CommandExecutionError(
            f"the certificate that the CA signed is not what this node needs: {wrong}; apply again "
            "so that master and minion see the same inventory, and check the clocks of both"
        )
