"""Certificates: the signer on the admin node's minion, and the request from every other minion.

Peers reach `sign` through the master's `peer` setting. Who asks is known from ``__pub_id`` alone,
which the master puts into the job after it has checked the asking minion's key; what the caller may
get is known from the admin's own pillar. So a minion can have its own names signed, nothing else.
"""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import pki
from pigsty.clients import served
from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until
from pigsty.render import certificates as certificates_of

log = logging.getLogger(__name__)

__virtualname__ = "pigsty_pki"

#: Where `pigsty init` puts the CA, on the admin node only. The minion's option `pigsty_pki`
#: names another folder.
CA = "/etc/pigsty/pki"


def __virtual__() -> str:
    """Load everywhere; only the admin node has a key to sign with."""
    return __virtualname__


def sign(role: str, csr: str, **kwargs: Any) -> dict[str, str]:
    """Sign the certificate of the calling minion for one of its roles.

    Args:
        role: ``node``, ``pgsql``, ``etcd`` or ``infra``.
        csr: the request, PEM; only its public key is used.
        kwargs: what Salt says about the job.

    Returns:
        ``{"certificate": PEM}``, or ``{"error": why not}``.

    CLI Example: called by minions, through ``publish.publish``.
    """
    caller = kwargs.get("__pub_id")
    if caller is None and "__pub_jid" in kwargs:
        return {"error": "this call names no minion: let a minion ask for itself"}
    # The pillar in memory may be older than the inventory: a new node has its grant only in a
    # fresh one, and a removed node must have lost it.
    pillar = __pillar__ if caller is None else __salt__["pillar.items"](unmask=True)
    caller = str(caller or __opts__["id"])
    try:
        leaf = _grant(pillar, caller, str(role))
        key, cert = _authority()
        signed = pki.sign(key, cert, csr.encode(), leaf, datetime.now(UTC))
    except (pki.PkiError, CommandExecutionError) as error:
        log.warning("certificate refused: minion %s, role %s: %s", caller, role, error)
        return {"error": str(error)}
    log.info("certificate signed for minion %s, role %s: %s", caller, role, pki.describe(signed))
    return {"certificate": signed.decode()}


def request(role: str, csr: str) -> str:
    """Have a certificate signed by the CA on the admin node.

    Args:
        role: one of this node's roles.
        csr: the request, PEM.

    Returns:
        The certificate, PEM.

    Raises:
        CommandExecutionError: the signer refused or didn't answer.

    CLI Example: called by the state ``pigsty_cert.present``.
    """
    admin = __pillar__["pigsty"]["meta"]["admin_ip"]
    if admin == __opts__["id"]:
        answer: Any = sign(role, csr)
    else:
        answers = __salt__["publish.publish"](
            admin, "pigsty_pki.sign", arg=[role, csr], timeout=int(DEADLINES["pki.sign"])
        )
        answer = answers.get(admin) if isinstance(answers, dict) else answers
    if not isinstance(answer, dict):
        raise CommandExecutionError(
            f"the CA on {admin} didn't answer within {DEADLINES['pki.sign']:g} s (deadline "
            f"pki.sign): is its minion up, and does the master's `peer` setting allow "
            f"pigsty_pki.sign? It said: {answer!r}"
        )
    if "certificate" not in answer:
        raise CommandExecutionError(f"the CA on {admin} refused: {answer.get('error')}")
    return str(answer["certificate"])


def certificates(wait: bool = False) -> dict[str, Any]:
    """Return what there is of certificates on this node, and what its daemons show.

    Args:
        wait: wait until every daemon shows the certificate that is on disk.

    Returns:
        ``leaves``: rows with ``role``, ``path``, ``pem`` and ``outdated`` (daemons that show
        another certificate, or none); ``trusted``: by path, which CAs each bundle has (see
        :func:`pigsty.pki.identity`).

    Raises:
        CommandExecutionError: a daemon still shows another one at the deadline ``pki.served``.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_pki.certificates
    """
    pigsty = __pillar__["pigsty"]
    roles = [role for role in certificates_of.PLACES if role in pigsty["meta"]["certs"]]
    if wait:
        late: list[str] = []

        def shown() -> bool:
            late[:] = [f"{role}: {name}" for role in roles for name in _outdated(pigsty, role)]
            return not late

        try:
            wait_until(shown, "pki.served", "all daemons show their certificates")
        except DeadlineExceeded as error:
            raise CommandExecutionError(f"{error}; not yet: {', '.join(late)}") from error
    rows: list[dict[str, Any]] = []
    bundles = {certificates_of.CA, *(certificates_of.PLACES[role].authorities for role in roles)}
    for role in roles:
        place = certificates_of.PLACES[role]
        pem = __salt__["pigsty_file.read"](place.certificate)
        if pem is not None:
            outdated = [] if wait else _outdated(pigsty, role)
            rows.append({"role": role, "path": place.certificate, "pem": pem, "outdated": outdated})
    texts = {path: __salt__["pigsty_file.read"](path) or "" for path in sorted(bundles)}
    trusted = {
        path: [pki.identity(one.encode()) for one in pki.bundle(text)]
        for path, text in texts.items()
    }
    return {"leaves": rows, "trusted": trusted}


def _outdated(pigsty: Any, role: str) -> list[str]:
    """Return the daemons that show another certificate than the one on disk, or none."""
    pem = __salt__["pigsty_file.read"](certificates_of.PLACES[role].certificate)
    wanted = ssl.PEM_cert_to_DER_cert(pem) if pem else None
    return [
        end.name
        for end in certificates_of.endpoints(pigsty, role)
        if served.certificate(end.host, end.port, postgres=end.postgres) != wanted
    ]


def _grant(pillar: Any, caller: str, role: str) -> pki.Leaf:
    """Return what the pillar allows a minion to have signed."""
    try:
        grants = pillar["pigsty"]["infra"]["pki"]["grants"]
    except (KeyError, TypeError):
        raise CommandExecutionError("this minion is not the admin node: it signs nothing") from None
    leaf = certificates_of.grant(grants, caller, role)
    if leaf is None:
        raise CommandExecutionError(
            f"minion {caller} may not have a certificate for the role {role!r}: "
            "the inventory gives it no such module"
        )
    return leaf


def _authority() -> tuple[bytes, bytes]:
    """Return the CA's key and certificate."""
    folder = Path(__opts__.get("pigsty_pki", CA))
    key = folder / "ca.key"
    try:
        if key.stat().st_mode & 0o077:
            raise CommandExecutionError(f"{key} can be read by others: chmod 0600 {key}")
        return key.read_bytes(), (folder / "ca.crt").read_bytes()
    except OSError as error:
        raise CommandExecutionError(
            f"the CA can't be read ({error}): run `pigsty init` on the admin node"
        ) from error
