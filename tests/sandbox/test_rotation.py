"""Certificates, their CA and passwords get replaced while clients write; none of them notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from edit import Inventory
from expect import Cluster, Dsn, Writer, eventually

from pigsty import pki

#: Passwords of the system's users that the sandbox declares, and that shall be derived.
DECLARED = (
    "patroni_password",
    "pg_admin_password",
    "pg_monitor_password",
    "pg_replication_password",
)
PKI = "/etc/pigsty/pki"

Report = Callable[[str, float, str], None]


class Verifying(Writer):
    """A client that connects anew for every row, and insists on the server's certificate.

    Args:
        dsn: where to.
        authorities: file of the CAs that it trusts.
    """

    TABLE = "verified"

    def __init__(self, dsn: Dsn, authorities: str) -> None:
        super().__init__(dsn)
        self._options = {"sslmode": "verify-full", "sslrootcert": authorities}

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            try:
                with self._dsn.connect(**self._options) as connection:
                    connection.execute(f"INSERT INTO {self.TABLE} VALUES (%s)", (number,))
            except psycopg.Error as error:
                self.errors.append(str(error).splitlines()[0] if str(error) else repr(error))
            else:
                self.acknowledged.append(number)
                self._times.append(time.monotonic())
            self._stop.wait(0.1)


@pytest.fixture
def authorities(admin: Any, tmp_path: Any) -> Callable[[], str]:
    """Gives a client of this machine the CAs, the next one included, as operators do in time."""

    def fetch() -> str:
        code, text, err = admin.run(["sh", "-c", "cat /etc/pigsty/pki/ca*.crt"])
        assert code == 0, err
        file = tmp_path / "ca.crt"
        file.write_text(text)
        return str(file)

    return fetch


@pytest.fixture
def clients(
    whole: Cluster, entry: Dsn, authorities: Callable[[], str], report: Report
) -> Callable[[str], Any]:
    """Two clients that write meanwhile; no transaction may fail, no lead or timeline may change."""

    @contextmanager
    def writing(what: str) -> Iterator[Writer]:
        before = whole.leader()
        with ExitStack() as stack:
            writer = stack.enter_context(Writer(entry))
            strict = stack.enter_context(Verifying(entry, authorities()))
            started = time.monotonic()
            yield strict
            report(f"{what}: took", time.monotonic() - started, "s")
            writer.wait_for_rows(20)
            strict.wait_for_rows(5)
            report(f"{what}: longest stall of writes", writer.longest_stall(), "s")
        assert (writer.errors, strict.errors) == ([], [])
        assert writer.missing() == set()
        now = whole.leader()
        assert (now["member"], now["timeline"]) == (before["member"], before["timeline"])
        eventually("all stream", lambda: whole.healthy(3), "services settle")

    return writing


def _serials(admin: Any, *targets: str) -> dict[str, str]:
    """The certificates' lines by host and role; every daemon shows what is on disk."""
    rows = admin.pigsty("cert", "list", *targets)
    assert [row for row in rows if row["outdated"] or row["state"] != "valid"] == []
    return {f"{row['host']}/{row['role']}": row["serial"] for row in rows}


def test_a_leader_gets_a_new_certificate_and_its_daemons_show_it(
    admin: Any, turned: Cluster, clients: Callable[[str], Any]
) -> None:
    leader = turned.leader()["host"]
    before = _serials(admin, turned.name)
    with clients("certificate of the leader"):
        admin.pigsty("cert", "rotate", leader, "-m", "pgsql", "--yes")
    after = _serials(admin, turned.name)
    assert {name for name in before if before[name] != after[name]} == {f"{leader}/pgsql"}
    assert _unchanged(admin, turned.name)


def test_the_ca_is_replaced_by_a_pair_of_our_own(
    admin: Any, turned: Cluster, clients: Callable[[str], Any]
) -> None:
    before = _serials(admin)
    # It stays: what is signed later must not end with it.
    key, certificate = pki.create_ca(f"sandbox {time.time():.0f}", 3650, datetime.now(UTC))
    for name, text in (("ca.next.key", key), ("ca.next.crt", certificate)):
        command = ["install", "-m", "600", "/dev/stdin", f"{PKI}/{name}"]
        assert admin.run(command, stdin=text.decode())[0] == 0
    # The clients trust it in time, as its certificate is there.
    with clients("another CA"):
        done = admin.pigsty("cert", "rotate", "--ca", "--yes")
    assert done["done"] == ["trust", "sign", "reissue", "drop"]
    after = _serials(admin)
    assert [name for name in before if before[name] == after[name]] == []
    code, kept, _err = admin.run(["sh", "-c", f"cd {PKI} && ls ca.* && cat ca.crt"])
    assert code == 0 and kept.split()[:2] == ["ca.crt", "ca.key"]
    assert certificate.decode() in kept
    assert admin.pigsty("cert", "rotate", "--ca", "--test")["next"] == "begin"
    assert _unchanged(admin)


def test_passwords_of_the_system_are_derived_and_derived_anew(
    admin: Any, turned: Cluster, inventory: Inventory, clients: Callable[[str], Any]
) -> None:
    def forget(document: dict[str, Any]) -> None:
        for name in DECLARED:
            del document["all"]["vars"][name]

    inventory.edit(forget)
    with clients("passwords by an edit"):
        changed = inventory.apply(turned.name)
    assert all(changed.values())
    with clients("passwords by a command"):
        rotated = admin.pigsty("password", "rotate", "--all", "-c", turned.name, "--yes")
    generations = {row["name"]: row["generation"] for row in rotated}
    assert set(generations) == {*DECLARED, "pg_etcd_password"}
    assert inventory.unchanged(turned.name)


def _unchanged(admin: Any, *words: str) -> bool:
    """Whether another apply has nothing to do."""
    return not any(row["changes"] for row in admin.pigsty("apply", *words, "--yes"))
