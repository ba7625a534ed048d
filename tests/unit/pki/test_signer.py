"""Who gets which certificate signed: only what the admin's own pillar grants the caller."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from salt.exceptions import CommandExecutionError

from pigsty import pki

LEAF = pki.Leaf("pg-test-1.pgsql", ("pg-test",), ("10.10.10.11",), 365)
OWN = pki.Leaf("infra-1.infra", ("i.pigsty",), ("10.10.10.10",), 365)
GRANTS = {
    "10.10.10.10": json.dumps({"infra": OWN.to_dict()}),
    "10.10.10.11": json.dumps({"pgsql": LEAF.to_dict()}),
}


@pytest.fixture
def csr():
    return pki.make_csr(pki.make_key()).decode()


@pytest.fixture
def admin(minion):
    """The signer on the admin node; its pillar in memory is an old one that grants nothing."""
    minion.opts |= {"id": "10.10.10.10", "pigsty_pki": str(minion.folder)}
    key, cert = pki.create_ca("pigsty-ca", 100)
    (minion.folder / "ca.key").write_bytes(key)
    (minion.folder / "ca.key").chmod(0o600)
    (minion.folder / "ca.crt").write_bytes(cert)
    fresh = {"pigsty": {"infra": {"pki": {"grants": GRANTS}}}}
    minion.salt["pillar.items"] = lambda unmask: fresh
    module = minion.load("_modules", "pigsty_pki")
    module.cert = cert
    return module


def reason(admin, answer, leaf):
    cert = answer["certificate"].encode()
    return pki.needs_renewal(cert, leaf, admin.cert, datetime.now(UTC))


def test_a_peer_gets_its_own_names_from_a_fresh_pillar(admin, csr):
    answer = admin.sign("pgsql", csr, __pub_id="10.10.10.11", __pub_jid="1")
    assert reason(admin, answer, LEAF) is None


@pytest.mark.parametrize(
    ("caller", "role"),
    [("10.10.10.11", "infra"), ("10.10.10.11", "etcd"), ("10.10.10.12", "pgsql"), ("", "pgsql")],
)
def test_nobody_gets_what_is_not_granted(admin, csr, caller, role):
    answer = admin.sign(role, csr, __pub_id=caller, __pub_jid="1")
    assert "certificate" not in answer
    assert "may not have" in answer["error"]


def test_a_published_call_without_a_minion_is_refused(admin, csr):
    assert "names no minion" in admin.sign("infra", csr, __pub_jid="1")["error"]


def test_the_admin_signs_for_itself_by_the_pillar_of_its_run(admin, minion, csr):
    minion.pillar["pigsty"]["infra"] = {"pki": {"grants": GRANTS}}
    assert reason(admin, admin.sign("infra", csr), OWN) is None
    assert "error" in admin.sign("pgsql", csr)


def test_another_node_signs_nothing(minion, csr):
    minion.salt["pillar.items"] = lambda unmask: {"pigsty": {"meta": {}}}
    module = minion.load("_modules", "pigsty_pki")
    assert "signs nothing" in module.sign("pgsql", csr, __pub_id="10.10.10.11")["error"]


def test_junk_is_answered_not_raised(admin):
    assert "error" in admin.sign("pgsql", "junk", __pub_id="10.10.10.11", __pub_jid="1")


def test_a_key_that_others_can_read_is_not_used(admin, minion, csr):
    (minion.folder / "ca.key").chmod(0o640)
    answer = admin.sign("pgsql", csr, __pub_id="10.10.10.11", __pub_jid="1")
    assert "chmod 0600" in answer["error"]


def test_a_missing_ca_names_the_remedy(admin, minion, csr):
    (minion.folder / "ca.key").unlink()
    answer = admin.sign("pgsql", csr, __pub_id="10.10.10.11", __pub_jid="1")
    assert "pigsty init" in answer["error"]


@pytest.fixture
def asker(minion):
    minion.pillar["pigsty"]["meta"]["admin_ip"] = "10.10.10.10"
    asked = []

    def publish(target, function, arg, timeout):
        asked.append((target, function, arg))
        return minion.answer

    minion.salt["publish.publish"] = publish
    module = minion.load("_modules", "pigsty_pki")
    module.asked = asked
    return module


def test_a_request_goes_to_the_admin_alone(asker, minion):
    minion.answer = {"10.10.10.10": {"certificate": "PEM"}, "10.10.10.12": {"certificate": "EVIL"}}
    assert asker.request("pgsql", "CSR") == "PEM"
    assert asker.asked == [("10.10.10.10", "pigsty_pki.sign", ["pgsql", "CSR"])]


@pytest.mark.parametrize(
    "answer", [{}, "publish timed out", {"10.10.10.10": "Traceback"}, {"10.10.10.12": {}}, None]
)
def test_no_answer_is_an_error_that_says_where_to_look(asker, minion, answer):
    minion.answer = answer
    with pytest.raises(CommandExecutionError, match=r"deadline pki\.sign"):
        asker.request("pgsql", "CSR")


def test_a_refusal_is_passed_on(asker, minion):
    minion.answer = {"10.10.10.10": {"error": "no such role"}}
    with pytest.raises(CommandExecutionError, match="refused: no such role"):
        asker.request("pgsql", "CSR")
