"""What `pg_pitr` of the inventory asks for, what of it is refused, and how a loss is said."""

from __future__ import annotations

import pytest

from pigsty import pitr
from pigsty.backups import Target, TargetError
from pigsty.pitr import Loss, Request

NOON = Target("time", "2026-03-01 12:00:00.000000+00:00")


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, Request("pg", Target("latest"))),
        ({"type": "default"}, Request("pg", Target("latest"))),
        ({"type": "immediate"}, Request("pg", Target("immediate"))),
        ({"time": "2026-03-01 12:00:00+00"}, Request("pg", NOON)),
        ({"type": "time", "time": "2026-03-01 12:00:00+00"}, Request("pg", NOON)),
        ({"xid": 4711}, Request("pg", Target("xid", "4711"))),
        ({"lsn": "0/ff"}, Request("pg", Target("lsn", "0/FF"))),
        # A name that looks like a number stays a name.
        ({"type": "name", "name": "12"}, Request("pg", Target("name", "12"))),
        ({"lsn": "0/FF", "exclusive": True}, Request("pg", Target("lsn", "0/FF", exclusive=True))),
        ({"cluster": "pg-src"}, Request("pg-src", Target("latest"))),
        ({"set": "F", "timeline": 3}, Request("pg", Target("latest"), "F", "3")),
        ({"set": "latest", "timeline": "latest"}, Request("pg", Target("latest"))),
        # What other tools write out and changes nothing here.
        (
            {"action": "promote", "archive": True, "backup": "false", "data": "/pg/data"},
            Request("pg", Target("latest")),
        ),
    ],
)
def test_what_is_understood(values, wanted):
    assert pitr.declared(values, "pg") == wanted


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tiem": "now"}, "no key tiem"),
        ({"type": "yesterday"}, "none of default"),
        ({"type": "time"}, "type time wants time, and there is none"),
        ({"type": "default", "xid": 1}, "wants no point, and there is xid"),
        ({"time": "2026-03-01", "xid": 1}, "there is time, xid"),
        ({"time": "noon"}, "no point to restore to"),
        ({"name": "x", "exclusive": True}, "exclusive means nothing"),
        ({"timeline": "x"}, "timeline x is no number"),
        ({"action": "pause"}, "look first with `pigsty pgsql restore`"),
        ({"archive": False}, "archiving goes on"),
        ({"backup": True}, "stays in the archive"),
        ({"data": "/data/other"}, "--side"),
        ({"port": 5440}, "--side"),
        ({"db_include": ["app"]}, "as a whole"),
        ({"repo": {"type": "s3"}}, "pgbackrest_method"),
    ],
)
def test_what_is_refused_and_what_to_do_instead(values, said):
    with pytest.raises(TargetError, match=said):
        pitr.declared(values, "pg")


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (Loss(0.0, 0, wal=0), "0:00:00, 0 transactions, about 0 MiB of WAL"),
        (Loss(3661.4, 12, wal=2**25), "1:01:01, 12 transactions, about 32 MiB of WAL"),
        (Loss(90000, 1000000, bounded=True), "1 day, 1:00:00, more than 1000000 transactions"),
        (Loss(wal=2**20), "about 1 MiB of WAL"),
        (Loss(), "how much can't be told before it is done"),
    ],
)
def test_a_loss_in_words(loss, text):
    assert loss.text == text
