"""The state of a certificate: made, kept, renewed; the key never shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from salt.exceptions import CommandExecutionError

from pigsty import pki

LEAF = pki.Leaf("pg-test-1.pgsql", ("pg-test",), ("10.10.10.11",), 365)


@pytest.fixture
def node(minion):
    """A node with the state, and a CA that answers its requests."""
    ca_key, ca = pki.create_ca("pigsty-ca", 1000)
    minion.pillar["pigsty"]["meta"] = {
        "ca": ca.decode(),
        "issuer": ca.decode(),
        "certs": {"pgsql": LEAF.to_dict()},
    }
    minion.requests = []
    minion.at = datetime.now(UTC)

    def request(role, csr):
        minion.requests.append((role, csr))
        leaf = pki.Leaf.from_dict(minion.pillar["pigsty"]["meta"]["certs"][role])
        return pki.sign(ca_key, ca, csr.encode(), leaf, minion.at).decode()

    minion.salt["pigsty_pki.request"] = request
    minion.cert, minion.key = minion.folder / "tls/server.crt", minion.folder / "tls/server.key"
    module = minion.load("_states", "pigsty_cert")

    def apply(test=False, **options):
        minion.opts["test"] = test
        given = {"user": minion.user, "group": minion.group, **options}
        return module.present(str(minion.cert), str(minion.key), "pgsql", **given)

    minion.apply = apply
    return minion


def test_made_once_then_kept(node):
    first = node.apply()
    assert first["result"] is True, first
    assert node.key.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" in node.key.read_text()
    second = node.apply()
    assert (second["result"], second["changes"]) == (True, {})
    assert len(node.requests) == 1


def test_a_test_changes_nothing_and_says_the_same(node):
    would = node.apply(test=True)
    assert would["result"] is None
    assert not node.cert.exists()
    assert not node.key.exists()
    assert node.requests == []
    assert node.apply()["changes"] == would["changes"]


def test_the_key_is_in_no_change_and_in_no_request(node):
    made = node.apply()
    secret = node.key.read_text().splitlines()[1]
    assert secret not in str(made)
    assert secret not in str(node.requests)


def test_an_expiring_certificate_is_renewed_with_the_same_key(node):
    node.at -= timedelta(days=300)
    # The CA signs as it does today, so only the next run sees an old certificate.
    node.pillar["pigsty"]["meta"]["certs"]["pgsql"]["days"] = 1000
    node.apply()
    key = node.key.read_text()
    node.at += timedelta(days=300)
    node.pillar["pigsty"]["meta"]["certs"]["pgsql"]["days"] = 365
    done = node.apply()
    assert done["changes"][str(node.cert)]["old"] == "lifetime shortened"
    assert node.key.read_text() == key
    assert node.apply()["changes"] == {}


def test_a_rotation_is_a_new_key_and_certificate_once(node):
    node.apply()
    old_key, old = node.key.read_text(), node.cert.read_text()
    ahead = datetime.now(UTC) + timedelta(seconds=2)
    node.pillar["pigsty"]["meta"]["certs"]["pgsql"]["since"] = f"{ahead:%Y-%m-%dT%H:%M:%SZ}"
    node.at = ahead
    would = node.apply(test=True)
    done = node.apply()
    assert done["result"] is True, done
    assert done["changes"] == would["changes"]
    assert done["changes"][str(node.cert)]["old"] == pki.ROTATED
    assert str(node.key) in done["changes"]
    assert node.key.read_text() != old_key
    assert node.cert.read_text() != old
    assert node.key.read_text().splitlines()[1] not in str(done)
    assert node.apply()["changes"] == {}


def test_a_second_ca_is_trusted_beside_the_one_that_signs(node):
    _key, other = pki.create_ca("next", 1000)
    ca = node.folder / "tls/ca.crt"
    node.apply(ca=str(ca))
    node.pillar["pigsty"]["meta"]["ca"] += other.decode()
    assert list(node.apply(ca=str(ca))["changes"]) == [str(ca)]
    assert len(node.requests) == 1
    node.pillar["pigsty"]["meta"]["issuer"] = other.decode()
    assert node.apply(test=True)["changes"][str(node.cert)]["old"] == "CA changed"


def test_a_new_name_is_a_new_certificate(node):
    node.apply()
    node.pillar["pigsty"]["meta"]["certs"]["pgsql"]["dns"] = ["pg-test", "pg-test.lan"]
    assert node.apply()["changes"][str(node.cert)]["old"] == "alternative names changed"
    assert node.apply()["changes"] == {}


@pytest.mark.parametrize("damage", ["gone", "junk"])
def test_a_lost_key_is_replaced_with_its_certificate(node, damage):
    node.apply()
    if damage == "gone":
        node.key.unlink()
    else:
        node.key.write_text("junk")
    done = node.apply()
    assert done["result"] is True, done
    assert done["changes"][str(node.cert)]["old"] == "key changed"
    assert node.apply()["changes"] == {}


def test_permissions_are_set_right_without_a_new_certificate(node):
    node.apply()
    node.key.chmod(0o644)
    done = node.apply()
    assert list(done["changes"]) == [str(node.key)]
    assert node.key.stat().st_mode & 0o777 == 0o600
    assert len(node.requests) == 1


def test_the_ca_is_laid_beside_where_wanted(node):
    ca = node.folder / "tls/ca.crt"
    node.apply(ca=str(ca))
    assert ca.read_text() == node.pillar["pigsty"]["meta"]["ca"]


def test_a_refusal_fails_and_writes_nothing(node):
    def refuse(role, csr):
        raise CommandExecutionError("the CA refused")

    node.salt["pigsty_pki.request"] = refuse
    done = node.apply()
    assert (done["result"], done["changes"]) == (False, {})
    assert not node.key.exists()


def test_a_certificate_of_another_inventory_is_not_accepted(node):
    real = node.salt["pigsty_pki.request"]

    def stale(role, csr):
        mine = node.pillar["pigsty"]["meta"]["certs"]["pgsql"]["dns"]
        node.pillar["pigsty"]["meta"]["certs"]["pgsql"]["dns"] = ["old"]
        try:
            return real(role, csr)
        finally:
            node.pillar["pigsty"]["meta"]["certs"]["pgsql"]["dns"] = mine

    node.salt["pigsty_pki.request"] = stale
    done = node.apply()
    assert done["result"] is False
    assert "alternative names changed" in done["comment"]
    assert not node.cert.exists()


def test_a_role_that_the_node_has_not_is_named(node):
    del node.pillar["pigsty"]["meta"]["certs"]["pgsql"]
    done = node.apply()
    assert done["result"] is False
    assert "'pgsql'" in done["comment"]
