"""What a restore would undo, measured on a real server: commits, WAL and time since a point."""

from __future__ import annotations

from contextlib import closing

import pytest

from pigsty.backups import Target, TargetError
from pigsty.sql import window

BACKUP = {"stop": "2026-01-01 00:00:00+00", "lsn_stop": "0/0"}


@pytest.fixture
def measure(instance):
    """Return a function: what a point on a server that keeps commits' times would cost."""
    instance.query("ALTER SYSTEM SET track_commit_timestamp = on")
    instance.stop()
    instance.start()
    instance.query("CREATE TABLE t (id int)")

    def ask(kind, value=""):
        with (
            instance.server.impersonated(),
            closing(instance.server.connect("postgres")) as connection,
        ):
            return window.measure(connection, Target(kind, value), BACKUP)

    return ask


def commit(instance, times):
    for number in range(times):
        instance.query("INSERT INTO t VALUES (%s)", number)


def test_each_commit_after_a_time_counts_and_no_other(instance, measure, monkeypatch):
    commit(instance, 5)
    ((at, xid),) = instance.query(
        "SELECT clock_timestamp()::text, (SELECT max(xmin::text::int) FROM t)::text"
    )
    commit(instance, 12)
    with pytest.raises(Exception, match="banana"):
        instance.query("INSERT INTO t VALUES ('banana')")
    found = measure("time", at)
    assert (found.transactions, found.bounded) == (12, False)
    assert 0 < found.seconds < 60
    assert found.wal == 16 * 2**20
    assert measure("xid", xid).transactions == 12
    # In small pieces it is the same, up to the bound.
    monkeypatch.setattr(window, "_CHUNK", 5)
    assert measure("time", at).transactions == 12
    monkeypatch.setattr(window, "_MOST", 10)
    bounded = measure("time", at)
    assert (bounded.transactions < 12, bounded.bounded) == (True, True)


def test_wal_behind_an_lsn(instance, measure):
    ((lsn,),) = instance.query("SELECT pg_current_wal_lsn()::text")
    commit(instance, 3)
    assert 0 < measure("lsn", lsn).wal < 2**20


def test_what_can_not_be_told(measure):
    assert measure("name", "before-migration") == window.Loss()
    assert measure("xid", "4000000000") == window.Loss()
    assert measure("latest") == window.Loss(0.0, 0, wal=0)


def test_without_times_of_commits_the_rest_is_told(instance):
    with instance.server.impersonated(), closing(instance.server.connect("postgres")) as connection:
        found = window.measure(connection, Target("immediate"), BACKUP)
    assert (found.transactions, found.wal > 0, found.seconds > 0) == (None, True, True)


def test_a_transactions_time_is_known_and_one_that_never_was_is_refused(instance, measure):
    commit(instance, 1)
    ((xid, before),) = instance.query(
        "SELECT xmin::text, extract(epoch FROM clock_timestamp())::float8 FROM t"
    )
    with (
        instance.server.impersonated(),
        closing(instance.server.connect("postgres")) as connection,
    ):
        assert 0 <= before - window.committed(connection, xid) < 60
        # Too old to be remembered.
        assert window.committed(connection, "3") is None
        for never in ("99999", "18446744073709551999"):
            with pytest.raises(TargetError, match=f"no transaction {never} yet"):
                window.committed(connection, never)
