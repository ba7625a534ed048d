"""The deployment's certificate authority: keys, requests, certificates, and when to renew one.

Pure: bytes in, bytes out, the clock is an argument. Keys made here are elliptic curve (P-256 for
leaves, P-384 for the CA): small, quick to make, and known to every daemon that reads them. A CA
that was brought along from elsewhere may be RSA.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pigsty.errors import PigstyError
from pigsty.rotation import moment

#: A certificate is valid from this long before it was signed: clocks of nodes differ a little.
BACKDATE = timedelta(hours=1)
#: A leaf is renewed when less than this part of its life is left.
RENEW_AT = 1 / 3
#: X.509 allows a name no longer than this (RFC 5280, ub-common-name, ub-organizational-unit-name).
NAME_LENGTH = 64
#: Why a certificate is made anew, with a new key.
ROTATED = "rotation asked for"
ORGANIZATION = "pigsty"


class PkiError(PigstyError):
    """A key, request or certificate can't be read, or isn't what it should be."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a leaf certificate must say.

    Attributes:
        name: who holds it, for people; cut to 64 characters when it is written. It stands in the
            subject as organizational unit, and there is no common name: see
            :mod:`pigsty.render.certificates`.
        dns: DNS names, sorted by whoever makes the leaf.
        ips: IP addresses.
        days: lifetime in days.
        since: one that was signed before this moment (as :mod:`pigsty.rotation` writes it) is
            outdated; empty for none.
    """

    name: str
    dns: tuple[str, ...]
    ips: tuple[str, ...]
    days: int
    since: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a pillar."""
        return {
            "days": self.days,
            "dns": list(self.dns),
            "ips": list(self.ips),
            "name": self.name,
        } | ({"since": self.since} if self.since else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Leaf:
        """Read what :meth:`to_dict` wrote.

        Raises:
            PkiError: a field is missing or of the wrong type.
        """
        try:
            return cls(
                name=str(data["name"]),
                dns=tuple(str(name) for name in data["dns"]),
                ips=tuple(str(address) for address in data["ips"]),
                days=int(data["days"]),
                since=str(data.get("since", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PkiError(f"this is no description of a certificate: {error!r}") from error

    def describe(self) -> str:
        """Return one line for people: name, alternative names and lifetime."""
        return f"{self.name[:NAME_LENGTH]} for {', '.join(self.dns + self.ips)}, {self.days} days"


def create_ca(cn: str, days: int, now: datetime | None = None) -> tuple[bytes, bytes]:
    """Make a CA.

    Args:
        cn: its common name.
        days: its lifetime in days.
        now: the moment it is made, the current one by default.

    Returns:
        The private key and the self-signed certificate, both PEM.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn[:NAME_LENGTH])])
    start = now or datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - BACKDATE)
        .not_valid_after(start + timedelta(days=days))
        # No intermediate CA below this one: only leaves.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    certificate = builder.sign(key, hashes.SHA384())
    return _key_pem(key), certificate.public_bytes(Encoding.PEM)


def make_key() -> bytes:
    """Make a leaf's private key: PEM, PKCS #8, not encrypted."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def make_csr(key_pem: bytes) -> bytes:
    """Make the request for a key's certificate: PEM.

    It carries the public key and the proof that its sender holds the private one, and no name: the
    signer decides all names.

    Raises:
        PkiError: this is no private key.
    """
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(_load_key(key_pem), hashes.SHA256()).public_bytes(Encoding.PEM)


def public_key(key_pem: bytes) -> bytes:
    """Return the public part of a private key: DER, to compare with that of a certificate.

    Raises:
        PkiError: this is no private key.
    """
    return (
        _load_key(key_pem)
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


def sign(ca_key: bytes, ca_cert: bytes, csr: bytes, leaf: Leaf, now: datetime) -> bytes:
    """Sign a leaf certificate.

    Args:
        ca_key: PEM of the CA's private key.
        ca_cert: PEM of the CA's certificate.
        csr: PEM of the request; only its public key is used.
        leaf: what the certificate must say.
        now: the current moment, aware of its zone.

    Returns:
        The certificate, PEM. It never outlives the CA.

    Raises:
        PkiError: the request isn't signed by its own key, the key is too weak, or CA key and CA
            certificate don't belong together.
    """
    key = _load_ca_key(ca_key)
    authority = _load_cert(ca_cert)
    if _spki(key.public_key()) != _spki(authority.public_key()):
        raise PkiError("the CA's key and the CA's certificate don't belong together")
    try:
        request = x509.load_pem_x509_csr(csr)
        genuine = request.is_signature_valid
        wanted = request.public_key()
    except (ValueError, TypeError) as error:
        raise PkiError(f"this is no certificate request: {error}") from error
    if not genuine:
        raise PkiError("the request isn't signed by the key that it carries")
    if not isinstance(wanted, ec.EllipticCurvePublicKey) or wanted.curve.key_size < 256:
        raise PkiError("the request's key is refused (it must be elliptic curve, 256 bits or more)")
    end = min(now + timedelta(days=leaf.days), authority.not_valid_after_utc)
    if end <= now:
        raise PkiError("the CA itself has expired: renew it first")
    usages = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(leaf))
        .issuer_name(authority.subject)
        .public_key(wanted)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - BACKDATE, authority.not_valid_before_utc))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(usages, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(wanted), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
    )
    names = _san(leaf)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA384()).public_bytes(Encoding.PEM)


def needs_renewal(
    cert_pem: bytes | None,
    leaf: Leaf,
    ca_pem: bytes,
    now: datetime,
    public: bytes | None = None,
) -> str | None:
    """Say why a certificate must be made anew.

    Args:
        cert_pem: the certificate at hand, or None when there is none.
        leaf: what it must say.
        ca_pem: PEM of the CA's certificate.
        now: the current moment, aware of its zone.
        public: the node's public key (:func:`public_key`) that it must carry; None skips that.

    Returns:
        The reason for people, or None when the certificate is good.

    Raises:
        PkiError: the CA's certificate can't be read.
    """
    authority = _load_cert(ca_pem)
    if cert_pem is None:
        return "missing"
    try:
        cert = _load_cert(cert_pem)
        found = _names_of(cert)
    except PkiError:
        return "unreadable"
    try:
        cert.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return "CA changed"
    if public is not None and _spki(cert.public_key()) != public:
        return "key changed"
    if cert.subject != _subject(leaf):
        return "name changed"
    if found != (set(leaf.dns), {str(ip_address(address)) for address in leaf.ips}):
        return "alternative names changed"
    life = cert.not_valid_after_utc - cert.not_valid_before_utc
    if life > timedelta(days=leaf.days) + BACKDATE + timedelta(minutes=1):
        return "lifetime shortened"
    if cert.not_valid_before_utc > now:
        return "not valid yet"
    if cert.not_valid_after_utc - now < life * RENEW_AT:
        return f"expires {cert.not_valid_after_utc:%Y-%m-%d}"
    if leaf.since and cert.not_valid_before_utc + BACKDATE < moment(leaf.since):
        return ROTATED
    return None


def issuer(cert_pem: bytes) -> str:
    """Return which CA a leaf is of, as :func:`identity` names it; empty when it doesn't say.

    Raises:
        PkiError: this is no certificate.
    """
    try:
        known = _load_cert(cert_pem).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return ""
    return (known.value.key_identifier or b"").hex()


def identity(ca_pem: bytes) -> str:
    """Return what tells one CA from another: a digest of its public key.

    Raises:
        PkiError: this is no certificate.
    """
    key = _load_cert(ca_pem).public_key()
    return x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()


def bundle(text: str) -> list[str]:
    """Return the certificates in a text, one by one."""
    end = "-----END CERTIFICATE-----"
    return [part[part.find("-----BEGIN") :] + end + "\n" for part in text.split(end)[:-1]]


def belong(ca_key: bytes, ca_cert: bytes) -> bool:
    """Return whether a CA's key and certificate belong together.

    Raises:
        PkiError: one of them can't be read.
    """
    return _spki(_load_ca_key(ca_key).public_key()) == _spki(_load_cert(ca_cert).public_key())


def expiry(cert_pem: bytes) -> datetime:
    """Return when a certificate ends.

    Raises:
        PkiError: this is no certificate.
    """
    return _load_cert(cert_pem).not_valid_after_utc


def serial(cert_pem: bytes) -> str:
    """Return the serial number of a certificate, hexadecimal.

    Raises:
        PkiError: this is no certificate.
    """
    return f"{_load_cert(cert_pem).serial_number:x}"


def describe(cert_pem: bytes) -> str:
    """Return one line for people: name, serial number and expiry of a certificate.

    Raises:
        PkiError: this is no certificate.
    """
    cert = _load_cert(cert_pem)
    return (
        f"{cert.subject.rfc4514_string()} serial {cert.serial_number:x} "
        f"expires {cert.not_valid_after_utc:%Y-%m-%d}"
    )


def _subject(leaf: Leaf) -> x509.Name:
    unit = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, leaf.name[:NAME_LENGTH])
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION), unit])


def _san(leaf: Leaf) -> list[x509.GeneralName]:
    dns: list[x509.GeneralName] = [x509.DNSName(name) for name in leaf.dns]
    return dns + [x509.IPAddress(ip_address(address)) for address in leaf.ips]


def _names_of(cert: x509.Certificate) -> tuple[set[str], set[str]]:
    try:
        san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set(), set()
    except ValueError as error:
        raise PkiError(f"the certificate's extensions can't be read: {error}") from error
    addresses = {str(address) for address in san.get_values_for_type(x509.IPAddress)}
    return set(san.get_values_for_type(x509.DNSName)), addresses


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        # The library's text may quote what it read: a key must not end up in a log.
        raise PkiError("this is no readable private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError("this private key is of another kind than elliptic curve")
    return key


def _load_ca_key(pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise PkiError("the CA's private key can't be read") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PkiError("the CA's private key is neither elliptic curve nor RSA")
    return key


def _load_cert(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError) as error:
        raise PkiError(f"this is no certificate: {error}") from error


def _spki(key: Any) -> bytes:
    data: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data
