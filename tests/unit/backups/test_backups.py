"""Reading a repository, and points to restore to: what is understood, chosen and refused."""

from __future__ import annotations

import sys
from datetime import datetime

import pytest

from pigsty import backups
from pigsty.backups import Target, TargetError

NOON = datetime.fromisoformat("2026-03-01T12:00:00+00:00").timestamp()
HOUR = 3600


def entry(kind, hours, lsn, error=False):
    stop = int(NOON + hours * HOUR)
    return {
        "label": f"{kind}{hours}",
        "type": kind,
        "error": error,
        "timestamp": {"start": stop - 60, "stop": stop},
        "lsn": {"start": "0/1", "stop": lsn},
        "archive": {"start": "A", "stop": "B"},
        "info": {"size": 100, "repository": {"delta": 10}},
    }


ANSWER = [
    {"name": "other", "status": {"code": 0}, "backup": [entry("full", -9, "0/1")]},
    {
        "name": "pg",
        "status": {"code": 0, "message": "ok"},
        # Not in order, as nobody promises one.
        "backup": [entry("incr", 2, "1/20"), entry("full", 0, "0/FF000000")],
        "archive": [{"max": "0002"}, {"max": "0001"}],
    },
]
REPOSITORY = backups.parse(ANSWER, "pg")
NOW = NOON + 4 * HOUR


def test_the_stanza_is_told_apart_and_its_backups_are_in_order():
    assert [backup.label for backup in REPOSITORY.backups] == ["full0", "incr2"]
    assert (REPOSITORY.exists, REPOSITORY.full, REPOSITORY.wal) == (True, True, "0002")


@pytest.mark.parametrize("answer", [[], [{"name": "pg", "status": {"code": 1}}]])
def test_no_stanza(answer):
    found = backups.parse(answer, "pg")
    assert (found.exists, found.full, found.backups) == (False, False, ())


def test_what_an_older_cluster_of_the_name_left_is_restored_only_by_its_name():
    old, new = entry("full", -2, "0/90"), entry("full", 0, "0/10")
    old["database"], new["database"] = {"id": 1}, {"id": 2}
    answer = {
        "name": "pg",
        "status": {"code": 0},
        "db": [{"id": 2, "system-id": 22}, {"id": 1, "system-id": 11}],
        "archive": [
            {"database": {"id": 1}, "max": "0009"},
            {"database": {"id": 2}, "max": "0001"},
        ],
    }
    left = backups.parse([{**answer, "backup": [old]}], "pg")
    assert (left.system, left.full, left.wal) == (22, False, "0001")
    with pytest.raises(TargetError, match="no backup"):
        backups.choose(left, Target("latest"), NOW)
    both = backups.parse([{**answer, "backup": [old, new]}], "pg")
    assert both.full
    assert backups.choose(both, Target("xid", "7"), NOW).label == "full0"
    assert backups.choose(both, Target("xid", "7"), NOW, "full-2").label == "full-2"


def test_a_silent_repository_says_in_one_line_who_is_silent():
    status = {"code": 99, "message": "[HostConnectError] s3:9000\n    on 6 retries"}
    answer = [
        {"name": "pg", "status": {"code": 99, "message": "other"}, "repo": [{"status": status}]}
    ]
    found = backups.parse(answer, "pg")
    assert (found.readable, found.message) == (False, "[HostConnectError] s3:9000")
    assert REPOSITORY.readable and backups.parse([], "pg").readable


def test_whose_the_stanza_is():
    text = '[db]\ndb-id=2\ndb-system-id=22\n[db:history]\n1={"db-id":11}\n'
    assert backups.recorded_system(text) == 22
    assert backups.recorded_system("Salted__\x00\x07") is None
    assert backups.system((22).to_bytes(8, sys.byteorder) + b"more") == 22


def test_a_stanza_without_backups():
    found = backups.parse([{"name": "pg", "status": {"code": 2}}], "pg")
    assert (found.exists, found.full) == (True, False)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("latest", Target("latest")),
        ("immediate", Target("immediate")),
        ("0/5000028", Target("lsn", "0/5000028")),
        ("a/ff", Target("lsn", "A/FF")),
        ("12345", Target("xid", "12345")),
        ("before-migration", Target("name", "before-migration")),
        ("name:12345", Target("name", "12345")),
        ("2026-03-01 12:00:00+00", Target("time", "2026-03-01 12:00:00.000000+00:00")),
        ("2026-03-01T12:00:00", Target("time", "2026-03-01 12:00:00.000000+00:00")),
        ("2026-03-01 14:00:00.5+02:00", Target("time", "2026-03-01 12:00:00.500000+00:00")),
        ("time:2026-03-01", Target("time", "2026-03-01 00:00:00.000000+00:00")),
    ],
)
def test_points(text, wanted):
    assert backups.target(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "name:", "a b", "x' --y", "xid:abc", "lsn:12", "time:noon", "a\nb", "-" * 64]
)
def test_no_points(text):
    with pytest.raises(TargetError):
        backups.target(text)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("latest", "incr2"),
        ("immediate", "incr2"),
        ("2026-03-01 13:00:00", "full0"),
        ("2026-03-01 14:00:01", "incr2"),
        # In the very second of its end it may be unfinished.
        ("2026-03-01 14:00:00", "full0"),
        ("0/FF000000", "full0"),
        ("1/1F", "full0"),
        ("1/20", "incr2"),
        # A later backup could lie behind the point.
        ("4711", "full0"),
        ("before-migration", "full0"),
    ],
)
def test_the_newest_backup_that_surely_lies_before_the_point(text, label):
    assert backups.choose(REPOSITORY, backups.target(text), NOW).label == label


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-03-01 11:59:59", "before the end of the first backup"),
        ("2026-03-01 12:00:00", "before the end of the first backup"),
        ("0/FEFFFFFF", "before the end of the first backup"),
        ("2026-03-01 16:00:01", "in the future"),
    ],
)
def test_a_point_outside_the_window_is_refused(text, said):
    with pytest.raises(TargetError, match=said):
        backups.choose(REPOSITORY, backups.target(text), NOW)


@pytest.mark.parametrize(
    ("hours", "label"), [(1, "full0"), (2, "full0"), (2.1, "incr2"), (None, "full0")]
)
def test_a_transaction_whose_time_is_known_is_such_a_point(hours, label):
    known = None if hours is None else NOON + hours * HOUR
    assert backups.choose(REPOSITORY, Target("xid", "7"), NOW, committed=known).label == label


@pytest.mark.parametrize("label", ["", "full0"])
def test_a_transaction_before_the_first_backup_is_refused(label):
    with pytest.raises(TargetError, match="transaction 7 committed at 2026-03-01 12:00:00"):
        backups.choose(REPOSITORY, Target("xid", "7"), NOW, label, NOON)


def test_without_a_backup_nothing_is_restored():
    with pytest.raises(TargetError, match="no backup"):
        backups.choose(backups.parse([], "pg"), backups.target("latest"), NOW)


def test_a_damaged_backup_is_no_backup():
    damaged = [{**ANSWER[1], "backup": [entry("full", 0, "0/1", error=True)]}]
    with pytest.raises(TargetError, match="no backup"):
        backups.choose(backups.parse(damaged, "pg"), backups.target("latest"), NOW)


def test_a_person_may_choose():
    chosen = backups.choose(REPOSITORY, backups.target("latest"), NOW, "full0")
    assert chosen.label == "full0"
    with pytest.raises(TargetError, match="no usable backup"):
        backups.choose(REPOSITORY, backups.target("latest"), NOW, "full7")


def test_options_of_pgbackrest():
    assert backups.target("latest").options() == ["--type=default"]
    assert backups.target("4711").options() == ["--type=xid", "--target=4711"]


def test_a_repository_in_trouble_says_what_it_is():
    trouble = {"code": 99, "message": "[HostConnectError] unable to connect"}
    answer = {
        "name": "pg",
        "status": {"code": 99, "message": "other"},
        "repo": [{"status": trouble}],
    }
    found = backups.parse([answer], "pg")
    assert (found.exists, found.message) == (False, "[HostConnectError] unable to connect")
