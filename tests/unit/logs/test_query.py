"""Queries in logs: what they ask of journalctl, and what its answers become."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pigsty import logs

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
STAMP = int(NOW.timestamp()) * 1_000_000
REPLICA = logs.Host(
    "10.10.10.12",
    "pg-test-2",
    "127.10.10.12",
    (logs.Name("pgsql", "pg-test", "pg-test-2"), logs.Name("node", "nodes", "box-12")),
)
ADMIN = logs.Host(
    "10.10.10.10",
    "pg-meta-1",
    "127.10.10.10",
    (
        logs.Name("pgsql", "pg-meta", "pg-meta-1"),
        logs.Name("etcd", "etcd", "etcd-1"),
        logs.Name("infra", "infra", "infra-1"),
        logs.Name("node", "pg-meta", "pg-meta-1"),
    ),
)
ROW = (
    '2026-05-01 11:59:58.123 UTC,"app","shop",77,"10.0.0.9:5000",65.1,3,"SELECT",'
    '2026-05-01 11:00:00 UTC,4/1,0,ERROR,22012,"division by zero",,,,,,"select 1/0 as\n""x""",'
    ',,"psql","client backend",,0'
)


def line(**fields: Any) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": str(STAMP), **fields})


def read(host: logs.Host = REPLICA, **fields: Any) -> logs.Entry:
    found = logs.entry(line(**fields), host)
    assert found is not None
    return found


def test_a_row_of_postgresql_becomes_words_with_its_own_time_and_level():
    found = read(MESSAGE=ROW, SYSLOG_IDENTIFIER="postgres", _SYSTEMD_UNIT=logs.FORWARDER)
    assert found.text == (
        'app@shop 10.0.0.9:5000 [77] ERROR 22012: division by zero\nSTATEMENT: select 1/0 as\n"x"'
    )
    assert (found.time, found.level, found.unit) == ("2026-05-01 11:59:58.123", "err", "postgres")
    assert (found.cls, found.ins, found.ip) == ("pg-test", "pg-test-2", "10.10.10.12")


def test_a_row_that_is_cut_off_stays_as_it_is():
    found = read(MESSAGE=ROW[:90], SYSLOG_IDENTIFIER="postgres", _SYSTEMD_UNIT=logs.FORWARDER)
    assert found.text == ROW[:90]
    assert found.time == "2026-05-01 12:00:00.000"


@pytest.mark.parametrize(
    ("fields", "unit"),
    [
        ({"_SYSTEMD_UNIT": "haproxy.service", "SYSLOG_IDENTIFIER": "haproxy"}, "haproxy"),
        ({"_SYSTEMD_UNIT": "init.scope", "UNIT": "patroni.service"}, "patroni"),
        ({"_SYSTEMD_UNIT": "session-1.scope", "SYSLOG_IDENTIFIER": "sshd"}, "sshd"),
        ({"_SYSTEMD_UNIT": logs.FORWARDER, "SYSLOG_IDENTIFIER": "rsyslogd"}, "pigsty-forward"),
        ({"SYSLOG_IDENTIFIER": "kernel"}, "kernel"),
        ({"SYSLOG_IDENTIFIER": ["twice", "said"]}, "twice"),
        ({}, "kernel"),
    ],
)
def test_the_program_of_an_entry(fields, unit):
    assert read(**fields).unit == unit


def test_who_an_entry_belongs_to_follows_from_its_program():
    assert read(ADMIN, _SYSTEMD_UNIT="etcd.service").ins == "etcd-1"
    assert read(ADMIN, _SYSTEMD_UNIT="nginx.service").cls == "infra"
    assert read(REPLICA, _SYSTEMD_UNIT="cron.service").ins == "box-12"
    # A program of a module that the host doesn't have is the node's own.
    assert read(REPLICA, _SYSTEMD_UNIT="nginx.service").ins == "box-12"


def test_what_a_terminal_would_obey_does_not_come_through():
    found = read(MESSAGE="a\x1b[31mred\x07\x9b\tb\nc\r\n")
    assert found.text == "a\ufffd[31mred\ufffd\ufffd\tb\nc\ufffd"


def test_bytes_that_are_no_text_and_what_is_too_long():
    assert read(MESSAGE=[104, 105, 255]).text == "hi\ufffd"
    found = read(MESSAGE="x" * (logs.LONGEST + 5))
    assert found.text.endswith("x… (5 more characters)")


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"MESSAGE": "x"}', '"text"', "null"])
def test_a_line_that_is_no_entry_is_none(broken):
    assert logs.entry(broken, REPLICA) is None


@pytest.mark.parametrize(
    ("given", "modules"),
    [
        ({}, {"pgsql", "node"}),
        ({"target": "10.10.10.12"}, {"pgsql", "node"}),
        ({"target": "pg-test-2"}, {"pgsql", "node"}),
        ({"target": "pg-test"}, {"pgsql"}),
        ({"cls": "pg-test"}, {"pgsql"}),
        ({"ins": "box-12"}, {"node"}),
        ({"cls": "pg-test", "ins": "box-12"}, None),
        ({"ip": "10.10.10.12", "cls": "nodes"}, {"node"}),
        ({"ip": "10.10.10.13"}, None),
        ({"target": "pg-tes"}, None),
    ],
)
def test_which_modules_of_a_host_are_asked(given, modules):
    assert logs.wanted(logs.query(given, NOW), REPLICA) == modules


def test_the_call_of_journalctl():
    given = {"level": "err", "since": "10m", "unit": "postgres.service", "grep": "a|b"}
    words = logs.command(logs.query(given, NOW), {"pgsql", "node"}, ["/x/remote-1.journal"])
    assert words[0] == "journalctl"
    assert "--file=/x/remote-1.journal" in words
    assert f"--since=@{STAMP // 1_000_000 - 600}" in words
    assert "--priority=3" in words
    assert "--grep=a|b" in words
    assert words[-5:] == [
        "_SYSTEMD_UNIT=postgres.service", "+", "UNIT=postgres.service", "+",
        "SYSLOG_IDENTIFIER=postgres",
    ]  # fmt: skip


def test_one_module_of_a_host_is_asked_by_its_units():
    words = logs.command(logs.query({}, NOW), {"etcd"}, ["f"])
    assert "_SYSTEMD_UNIT=etcd.service" in words
    assert not any("nginx" in word for word in words)
    assert "+" not in logs.command(logs.query({}, NOW), {"etcd", "node"}, ["f"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400), ("2026-05-01 11:59", 60),
     ("2026-05-01T13:59:00+02:00", 60), ("2026-05-01", 43200)],
)  # fmt: skip
def test_moments(text, seconds):
    assert logs.moment(text, NOW) == STAMP - seconds * 1_000_000


def test_a_moment_as_an_answer_gives_it():
    assert logs.moment(str(STAMP), NOW) == STAMP


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"since": "yesterday"}, "10m, 2h, 1d"),
        ({"since": "9999999d"}, "no moment"),
        ({"level": "bad"}, "none of emerg"),
        ({"limit": "0"}, "1 to 2000"),
        ({"limit": "99999"}, "1 to 2000"),
        ({"ip": "10.10.10.12 --root=/"}, "no name"),
        ({"unit": "a b"}, "no name"),
        ({"text": "a", "grep": "b"}, "one of them"),
        ({"file": "/etc/shadow"}, "unknown parameter 'file'"),
    ],
)
def test_what_can_not_be_is_refused(given, word):
    with pytest.raises(logs.QueryError, match=word):
        logs.query(given, NOW)


def test_text_is_taken_as_it_is_and_quotes_as_csv_has_them():
    assert logs.literal("a.b") == "\\Qa.b\\E"
    assert logs.literal('x "y"') == '\\Qx \\E"{1,2}\\Qy\\E"{1,2}'
    assert logs.literal("a\\Eb") == "\\Qa\\E\\\\E\\Qb\\E"
    assert logs.literal("") == ""


def test_the_newest_come_each_once_in_the_order_of_time():
    entries = [read(MESSAGE=text, __REALTIME_TIMESTAMP=str(STAMP + at))
               for text, at in (("c", 3), ("a", 1), ("b", 2), ("b", 2))]  # fmt: skip
    assert [entry.text for entry in logs.newest(entries, 2)] == ["b", "c"]


def test_an_entry_outside_the_query_is_not_accepted():
    found = read(MESSAGE="x", _SYSTEMD_UNIT="patroni.service")
    day = logs.query({}, NOW)
    assert logs.accepts(day, {"pgsql"}, REPLICA, found)
    assert not logs.accepts(day, {"node"}, REPLICA, found)
    assert not logs.accepts(logs.query({"until": "1h"}, NOW), {"pgsql"}, REPLICA, found)
    assert not logs.accepts(logs.query({"unit": "etcd"}, NOW), {"pgsql"}, REPLICA, found)
