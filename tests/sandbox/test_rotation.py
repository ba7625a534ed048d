"""Certificates get replaced while clients write; none of them notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from expect import Cluster, Dsn, Writer, eventually

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


def test_new_certificates_are_shown_by_all_daemons(
    admin: Any, turned: Cluster, clients: Callable[[str], Any]
) -> None:
    before = _serials(admin)
    with clients("certificates of pg-test and etcd"):
        admin.pigsty("cert", "rotate", "pg-test", "etcd", "-m", "pgsql,etcd", "--yes")
    after = _serials(admin)
    kept = {name for name in before if before[name] == after[name]}
    assert kept == {"10.10.10.10/infra"}
    assert _unchanged(admin, "pg-test")


def _unchanged(admin: Any, *words: str) -> bool:
    """Whether another apply has nothing to do."""
    return not any(row["changes"] for row in admin.pigsty("apply", *words, "--yes"))
