"""What lies between a point in time and now, measured on the live leader before it is undone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg

from pigsty.backups import Target, TargetError
from pigsty.pitr import Loss

#: Transactions that are looked at in one query, and in all: a preview shall take a second.
_CHUNK, _MOST = 50_000, 1_000_000
_WRAP = 2**32
#: Numbers below it are PostgreSQL's own.
_FIRST = 3

_COMMITTED = """
SELECT count(*) FILTER (WHERE at > %(at)s::timestamptz)
  FROM (SELECT pg_xact_commit_timestamp(n::text::xid) AS at
          FROM (SELECT (%(low)s + i) %% %(wrap)s AS n FROM generate_series(0, %(many)s - 1) i) s
         WHERE n >= %(first)s) t
"""
_SEGMENTS = """
SELECT count(*) * (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size')
  FROM pg_ls_waldir()
 WHERE modification >= date_trunc('second', %(at)s::timestamptz) AND name ~ '^[0-9A-F]{24}$'
   AND name <= pg_walfile_name(pg_current_wal_lsn())
"""


def measure(
    connection: psycopg.Connection[tuple[object, ...]], target: Target, backup: Mapping[str, Any]
) -> Loss:
    """Return what a restore to a point would undo.

    Args:
        connection: to the leader, as its superuser.
        target: the point.
        backup: the one that the restore begins with, as :meth:`pigsty.backups.Backup.to_dict` has
            it.
    """
    if target.kind == "latest":
        return Loss(0.0, 0, wal=0)
    if target.kind == "lsn":
        return Loss(wal=_bytes(connection, target.value))
    if target.kind == "immediate":
        return _since(connection, str(backup["stop"]), _bytes(connection, str(backup["lsn_stop"])))
    if target.kind == "time":
        return _since(connection, target.value)
    if target.kind == "xid":
        at = _commit_time(connection, target.value)
        return _since(connection, at) if at else Loss()
    return Loss()


def committed(connection: psycopg.Connection[tuple[object, ...]], xid: str) -> float | None:
    """Return when a transaction committed, in seconds since 1970; None where nobody knows.

    Args:
        connection: to the leader, as its superuser.
        xid: its number.

    Raises:
        TargetError: there has been no such transaction yet.
    """
    row = connection.execute(
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric <= %s::numeric", (xid,)
    ).fetchone()
    if row and row[0]:
        raise TargetError(f"there has been no transaction {xid} yet")
    at = _commit_time(connection, xid)
    return datetime.fromisoformat(at).timestamp() if at else None


def _since(
    connection: psycopg.Connection[tuple[object, ...]], at: str, wal: int | None = None
) -> Loss:
    row = connection.execute(
        "SELECT extract(epoch FROM clock_timestamp() - %s::timestamptz)::float8", (at,)
    ).fetchone()
    seconds = float(row[0]) if row else None  # type: ignore[arg-type]
    if wal is None:
        row = connection.execute(_SEGMENTS, {"at": at}).fetchone()
        wal = int(row[0]) if row else None  # type: ignore[call-overload]
    count, bounded = _transactions(connection, at)
    return Loss(seconds, count, bounded, wal)


def _transactions(
    connection: psycopg.Connection[tuple[object, ...]], at: str
) -> tuple[int | None, bool]:
    """Count the commits after a time, from the newest back until none is found any more."""
    row = connection.execute(
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, "
        "current_setting('track_commit_timestamp')"
    ).fetchone()
    if row is None or row[1] != "on":
        return None, False
    top, found = int(row[0]), 0  # type: ignore[call-overload]
    for seen in range(0, min(top - _FIRST, _MOST), _CHUNK):
        low = max(_FIRST, top - seen - _CHUNK)
        words = {"at": at, "low": low % _WRAP, "many": top - seen - low, "wrap": _WRAP}
        counted = connection.execute(_COMMITTED, {**words, "first": _FIRST}).fetchone()
        more = int(counted[0]) if counted else 0  # type: ignore[call-overload]
        if not more:
            return found, False
        found += more
    return found, top - _FIRST > _MOST


def _commit_time(connection: psycopg.Connection[tuple[object, ...]], xid: str) -> str | None:
    try:
        row = connection.execute(
            "SELECT pg_xact_commit_timestamp((%s::bigint %% %s)::text::xid)::text", (xid, _WRAP)
        ).fetchone()
    except psycopg.Error:
        return None
    return str(row[0]) if row and row[0] else None


def _bytes(connection: psycopg.Connection[tuple[object, ...]], lsn: str) -> int | None:
    row = connection.execute(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)::bigint", (lsn,)
    ).fetchone()
    return int(row[0]) if row else None  # type: ignore[call-overload]
