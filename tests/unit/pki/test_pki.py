"""Keys, requests, certificates and the reasons to renew one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pigsty import pki
from pigsty.pki import Leaf, PkiError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LEAF = Leaf(
    name="pg-test-1.pgsql", dns=("localhost", "pg-test"), ips=("10.10.10.11", "::1"), days=365
)


@pytest.fixture(scope="module")
def ca():
    return pki.create_ca("pigsty-ca", 3650, NOW)


@pytest.fixture(scope="module")
def key():
    return pki.make_key()


@pytest.fixture(scope="module")
def cert(ca, key):
    return pki.sign(*ca, pki.make_csr(key), LEAF, NOW)


def parsed(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_a_ca_is_one(ca):
    cert = parsed(ca[1])
    constraints = cert.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage).value
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0
    assert usage.key_cert_sign
    assert cert.subject == cert.issuer
    assert cert.not_valid_after_utc == NOW + timedelta(days=3650)
    cert.verify_directly_issued_by(cert)


def test_two_cas_differ():
    assert pki.create_ca("a", 1)[0] != pki.create_ca("a", 1)[0]


def test_a_leaf_says_what_it_must(ca, cert):
    leaf = parsed(cert)
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    leaf.verify_directly_issued_by(parsed(ca[1]))
    assert leaf.subject.rfc4514_string() == "OU=pg-test-1.pgsql,O=pigsty"
    assert san.get_values_for_type(x509.DNSName) == ["localhost", "pg-test"]
    assert [str(ip) for ip in san.get_values_for_type(x509.IPAddress)] == ["10.10.10.11", "::1"]
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.not_valid_after_utc == NOW + timedelta(days=365)
    assert leaf.not_valid_before_utc == NOW - pki.BACKDATE


def test_no_leaf_has_a_common_name(cert):
    # etcd would take it for a user name, and refuses Patroni's requests under such a certificate.
    assert not parsed(cert).subject.get_attributes_for_oid(NameOID.COMMON_NAME)


def test_a_leaf_carries_the_key_of_the_request(cert, key):
    assert pki.needs_renewal(cert, LEAF, cert, NOW, pki.public_key(key)) == "CA changed"
    assert pki.public_key(key) == parsed(cert).public_key().public_bytes(
        Encoding.DER, pki.PublicFormat.SubjectPublicKeyInfo
    )


def test_a_leaf_never_outlives_the_ca(key):
    ca = pki.create_ca("short", 30, NOW)
    leaf = parsed(pki.sign(*ca, pki.make_csr(key), LEAF, NOW))
    assert leaf.not_valid_after_utc == NOW + timedelta(days=30)


def test_an_expired_ca_signs_nothing(key):
    ca = pki.create_ca("old", 30, NOW - timedelta(days=31))
    with pytest.raises(PkiError, match="expired"):
        pki.sign(*ca, pki.make_csr(key), LEAF, NOW)


def test_a_long_name_is_cut(ca, key):
    leaf = Leaf("x" * 80, ("a",), (), 1)
    cert = pki.sign(*ca, pki.make_csr(key), leaf, NOW)
    assert (
        parsed(cert).subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)[0].value
        == "x" * 64
    )
    assert pki.needs_renewal(cert, leaf, ca[1], NOW) is None


def test_a_foreign_rsa_ca_signs(key):
    private = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old pigsty")])
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=900))
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    root_pem = root.public_bytes(Encoding.PEM)
    cert = pki.sign(pem, root_pem, pki.make_csr(key), LEAF, NOW)
    assert pki.needs_renewal(cert, LEAF, root_pem, NOW) is None


def test_a_ca_key_of_another_ca_is_refused(ca, key):
    other = pki.create_ca("other", 10, NOW)
    with pytest.raises(PkiError, match="belong together"):
        pki.sign(other[0], ca[1], pki.make_csr(key), LEAF, NOW)


@pytest.mark.parametrize("junk", [b"", b"junk", b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n"])
def test_junk_is_no_request(ca, junk):
    with pytest.raises(PkiError, match="no certificate request"):
        pki.sign(*ca, junk, LEAF, NOW)


def test_a_request_that_was_tampered_with_is_refused(ca, key):
    request = x509.load_pem_x509_csr(pki.make_csr(key))
    der = bytearray(request.public_bytes(Encoding.DER))
    der[-1] ^= 1
    broken = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    with pytest.raises(PkiError):
        pki.sign(*ca, broken, LEAF, NOW)


def test_an_rsa_request_is_refused(ca):
    private = rsa.generate_private_key(65537, 2048)
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pem = csr.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)
    with pytest.raises(PkiError, match="elliptic curve"):
        pki.sign(*ca, pem, LEAF, NOW)


def test_names_in_a_request_count_for_nothing(ca, key):
    loaded = pki._load_key(key)
    csr = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    )
    csr = csr.add_extension(x509.SubjectAlternativeName([x509.DNSName("evil")]), critical=False)
    pem = csr.sign(loaded, hashes.SHA256()).public_bytes(Encoding.PEM)
    cert = pki.sign(*ca, pem, LEAF, NOW)
    assert pki.needs_renewal(cert, LEAF, ca[1], NOW) is None


def test_a_good_certificate_stays(ca, cert, key):
    assert pki.needs_renewal(cert, LEAF, ca[1], NOW, pki.public_key(key)) is None


@pytest.mark.parametrize(
    ("leaf", "reason"),
    [
        (Leaf("other", LEAF.dns, LEAF.ips, 365), "name changed"),
        (Leaf(LEAF.name, (*LEAF.dns, "more"), LEAF.ips, 365), "alternative names changed"),
        (Leaf(LEAF.name, LEAF.dns[:1], LEAF.ips, 365), "alternative names changed"),
        (Leaf(LEAF.name, LEAF.dns, ("10.10.10.12",), 365), "alternative names changed"),
        (Leaf(LEAF.name, LEAF.dns, LEAF.ips, 90), "lifetime shortened"),
        (Leaf(LEAF.name, LEAF.dns, LEAF.ips, 7300), None),
        (Leaf(LEAF.name, LEAF.dns[::-1], ("0:0::1", "10.10.10.11"), 365), None),
    ],
)
def test_what_it_says_decides(ca, cert, leaf, reason):
    assert pki.needs_renewal(cert, leaf, ca[1], NOW) == reason


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(days=240), None),
        (timedelta(days=250), "expires 2027-05-01"),
        (timedelta(days=400), "expires 2027-05-01"),
        (-timedelta(days=1), "not valid yet"),
    ],
)
def test_age_decides(ca, cert, age, reason):
    assert pki.needs_renewal(cert, LEAF, ca[1], NOW + age) == reason


def test_another_key_another_certificate(ca, cert):
    other = pki.public_key(pki.make_key())
    assert pki.needs_renewal(cert, LEAF, ca[1], NOW, other) == "key changed"


def test_a_new_ca_of_the_same_name_is_another(cert):
    assert pki.needs_renewal(cert, LEAF, pki.create_ca("pigsty-ca", 10)[1], NOW) == "CA changed"


def test_none_and_junk(ca):
    assert pki.needs_renewal(None, LEAF, ca[1], NOW) == "missing"
    assert pki.needs_renewal(b"junk", LEAF, ca[1], NOW) == "unreadable"


def test_a_broken_ca_is_an_error():
    with pytest.raises(PkiError):
        pki.needs_renewal(None, LEAF, b"junk", NOW)


def test_an_error_never_quotes_a_key(key):
    broken = key.replace(b"PRIVATE KEY-----\n", b"PRIVATE KEY-----\n!", 1)
    with pytest.raises(PkiError) as caught:
        pki.public_key(broken)
    assert caught.value.__cause__ is None
    assert key.splitlines()[1].decode()[:10] not in str(caught.value)


def test_leaf_there_and_back():
    assert Leaf.from_dict(LEAF.to_dict()) == LEAF
    with pytest.raises(PkiError):
        Leaf.from_dict({"name": "x"})


def test_description_holds_name_serial_and_expiry(cert):
    text = pki.describe(cert)
    assert "OU=pg-test-1.pgsql" in text
    assert f"{parsed(cert).serial_number:x}" in text
    assert "2027-05-01" in text
