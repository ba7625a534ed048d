"""A minion asks the CA's minion for certificates, through a real master: its own, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pigsty import pki

ROOT = Path(__file__).resolve().parents[3]
ADMIN, MEMBER = "10.10.10.10", "10.10.10.11"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA's folder, as `pigsty init` leaves it."""
    folder = tmp_path_factory.mktemp("pki")
    key, cert = pki.create_ca("pigsty-ca", 100)
    (folder / "ca.key").write_bytes(key)
    (folder / "ca.key").chmod(0o600)
    (folder / "ca.crt").write_bytes(cert)
    return folder


@pytest.fixture(scope="module")
def admin(master: Any, ca: Path) -> Iterator[Any]:
    """The admin node's minion, which has the CA."""
    factory = master.salt_minion_daemon(
        ADMIN,
        overrides={"pigsty_pki": str(ca), "module_dirs": [str(ROOT / "extmods")]},
        start_timeout=90,
    )
    with factory.started():
        yield factory


@pytest.fixture(scope="module")
def member(minion: Any, admin: Any) -> Any:
    """The minion of a member of pg-test, which calls functions as its root would."""
    return minion.salt_call_cli(timeout=60)


@pytest.fixture
def csr() -> str:
    """A request for a new key's certificate; a first dash would make it an option of a command."""
    return "\n" + pki.make_csr(pki.make_key()).decode()


def published(member: Any, function: str, *arguments: str) -> Any:
    """Return what the admin's minion answered to a call that the member published."""
    answer = member.run("publish.publish", ADMIN, function, f"arg={json.dumps(arguments)}")
    return (answer.data or {}).get(ADMIN)


def test_a_member_gets_its_certificate(member, ca, csr):
    answer = member.run("pigsty_pki.request", "pgsql", csr)
    assert answer.returncode == 0, answer
    leaf = pki.Leaf(
        "pg-test-1.pgsql", ("localhost", "pg-test", "pg-test-1"), (MEMBER, "127.0.0.1"), 365
    )
    authority = (ca / "ca.crt").read_bytes()
    assert pki.needs_renewal(answer.data.encode(), leaf, authority, datetime.now(UTC)) is None


@pytest.mark.parametrize("role", ["infra", "etcd"])
def test_a_member_gets_no_certificate_of_another_role(member, csr, role):
    answer = published(member, "pigsty_pki.sign", role, csr)
    assert "may not have" in answer["error"]


@pytest.mark.parametrize(
    "forged", [f"__pub_id={ADMIN}", f'{{"__kwarg__": true, "__pub_id": "{ADMIN}"}}']
)
def test_a_member_cannot_be_somebody_else(member, csr, forged):
    answer = published(member, "pigsty_pki.sign", "infra", csr, forged)
    assert "certificate" not in (answer or {})


@pytest.mark.parametrize("function", ["pillar.items", "cmd.run", "pigsty_pki.request"])
def test_a_member_can_call_nothing_else(member, csr, function):
    assert published(member, function, "infra", csr) is None


def test_an_operator_is_told_to_let_a_minion_ask(master, admin, csr):
    answer = master.salt_cli(timeout=60).run("pigsty_pki.sign", "infra", csr, minion_tgt=ADMIN)
    assert "names no minion" in answer.data["error"]
