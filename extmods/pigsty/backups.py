"""What a repository holds, as ``pgbackrest info --output=json`` tells it; and points to restore to.

Pure: the member runs the program, the command line shows and judges what it said.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pigsty.errors import PigstyError

#: Codes of pgBackRest's status of a stanza.
OK, NO_PATH, NO_BACKUP, NO_DATA = 0, 1, 2, 3
_PLAIN = (OK, NO_PATH, NO_BACKUP, NO_DATA)
KINDS = ("full", "diff", "incr")
_LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
#: PostgreSQL's limit for the name of a restore point, and nothing that needs quoting.
_NAME = re.compile(r"[\w.@+-]{1,63}")
_SYSTEM = re.compile(r"^db-system-id=(\d+)$", re.MULTILINE)
_PREFIXES = ("time", "lsn", "xid", "name")


class TargetError(PigstyError):
    """A point that can't be restored to; nothing was touched."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup.

    Attributes:
        label: its name in the repository.
        kind: ``full``, ``diff`` or ``incr``.
        begin: seconds since 1970 at which it began.
        end: the same for its end; earlier points can't be restored from it.
        size: bytes of the database.
        stored: bytes that it added to the repository.
        wal_begin: first WAL segment that it needs.
        wal_end: last WAL segment that it needs.
        lsn_end: where it became consistent.
        failed: pages with a wrong checksum were found.
        database: number of the database in the stanza: a new cluster of an old name counts on.
    """

    label: str
    kind: str
    begin: int
    end: int
    size: int
    stored: int
    wal_begin: str
    wal_end: str
    lsn_end: str
    failed: bool
    database: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, as ``-o json`` shows it."""
        return {
            "label": self.label,
            "type": self.kind,
            "start": moment(self.begin),
            "stop": moment(self.end),
            "size": self.size,
            "stored": self.stored,
            "wal_start": self.wal_begin,
            "wal_stop": self.wal_end,
            "lsn_stop": self.lsn_end,
            "error": self.failed,
        }


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository holds of one stanza.

    Attributes:
        code: pgBackRest's status: 0 all right, 1 and 3 no stanza, 2 no backup.
        message: the same in words.
        backups: oldest first.
        wal: last WAL segment in the archive, "" without any.
        database: number of the database that the stanza is for by now.
        system: its system identifier, None where it can't be told.
    """

    code: int
    message: str
    backups: tuple[Backup, ...]
    wal: str
    database: int = 1
    system: int | None = None

    @property
    def exists(self) -> bool:
        """Whether the stanza is there."""
        return self.code in (OK, NO_BACKUP)

    @property
    def readable(self) -> bool:
        """Whether what it holds is known: it answered, and its files could be read."""
        return self.code in _PLAIN

    @property
    def full(self) -> bool:
        """Whether there is a full backup of the database of now, on which all others stand."""
        return any(b.kind == "full" and b.database == self.database for b in self.backups)

    @property
    def usable(self) -> tuple[Backup, ...]:
        """What can be restored, oldest first; an older cluster's backups are another database."""
        return tuple(b for b in self.backups if not b.failed and b.database == self.database)

    @property
    def window(self) -> dict[str, str | None]:
        """What can be restored to: any point after ``from``, up to the WAL segment ``wal``."""
        return {"from": moment(self.usable[0].end) if self.usable else None, "wal": self.wal}


@dataclass(frozen=True, slots=True)
class Target:
    """A point to restore to.

    Attributes:
        kind: ``latest``, ``immediate``, ``time``, ``lsn``, ``xid`` or ``name``.
        value: the point, as PostgreSQL reads it; "" for the first two.
        exclusive: recovery ends right before it (for ``time``, ``lsn`` and ``xid``).
    """

    kind: str
    value: str = ""
    exclusive: bool = False

    @property
    def text(self) -> str:
        """The point as a person says it."""
        before = "right before " if self.exclusive else ""
        return f"{before}{self.kind} {self.value}".strip()

    def options(self) -> list[str]:
        """Return pgBackRest's options for it."""
        if self.kind == "latest":
            return ["--type=default"]
        if self.kind == "immediate":
            return ["--type=immediate"]
        words = [f"--type={self.kind}", f"--target={self.value}"]
        return [*words, "--target-exclusive"] if self.exclusive else words


def parse(answer: Sequence[Mapping[str, Any]], stanza: str) -> Repository:
    """Return what ``pgbackrest info --output=json`` said of a stanza.

    Args:
        answer: the JSON, read.
        stanza: its name.
    """
    found = next((entry for entry in answer if entry.get("name") == stanza), None)
    if found is None:
        return Repository(NO_PATH, "missing stanza path", (), "")
    status = found.get("status") or {}
    backups = sorted(map(_backup, found.get("backup") or ()), key=lambda backup: backup.end)
    known = {int(db.get("id", 1)): db.get("system-id") for db in found.get("db") or ()}
    database = max(known, default=1)
    archived = [
        str(entry.get("max") or "")
        for entry in found.get("archive") or ()
        if _database(entry) == database
    ]
    # The stanza's own status says "other" where the repository's says what it is.
    words = [str((r.get("status") or {}).get("message", "")) for r in found.get("repo") or ()]
    code = int(status.get("code", 99))
    return Repository(
        code=code,
        message=_line(words[0] if code not in _PLAIN and words else status.get("message")),
        backups=tuple(backups),
        wal=max(archived, default=""),
        database=database,
        system=known.get(database),
    )


def recorded_system(text: str) -> int | None:
    """Return the system identifier in a stanza's ``archive.info``, None where it is encrypted."""
    found = _SYSTEM.search(text)
    return int(found[1]) if found else None


def system(control: bytes) -> int:
    """Return the system identifier of a server, the first field of its ``pg_control``."""
    return int.from_bytes(control[:8], sys.byteorder)


def target(text: str) -> Target:
    """Return the point that a person named.

    Args:
        text: ``latest``, ``immediate``, a time (ISO 8601; without a zone it is UTC), an LSN, a
            transaction's number, or the name of a restore point. ``name:``, ``xid:``, ``lsn:`` and
            ``time:`` before it say which one is meant.

    Raises:
        TargetError: it is none of these.
    """
    text = text.strip()
    if text in ("latest", "immediate"):
        return Target(text)
    kind, _, rest = text.partition(":")
    if kind in _PREFIXES and rest:
        found = {"time": _time, "lsn": _lsn, "xid": _xid, "name": _name}[kind](rest)
    else:
        found = _lsn(text) or _xid(text) or _time(text) or _name(text)
    if found is None:
        raise TargetError(
            f"{text!r} is no point to restore to: say latest, immediate, a time such as "
            "'2026-03-01 12:00:00+00', an LSN such as 0/5000028, a transaction's number, or the "
            "name of a restore point"
        )
    return found


def choose(
    repository: Repository,
    wanted: Target,
    now: float,
    label: str = "",
    committed: float | None = None,
) -> Backup:
    """Return the backup from which a point is restored.

    Args:
        repository: what there is.
        wanted: the point.
        now: seconds since 1970, by the clock of the member that leads.
        label: a backup that a person chose.
        committed: when the transaction that is the point committed, in seconds since 1970, if the
            server knows.

    Returns:
        The newest one that ended before the point. Where that can't be told (a name, a transaction
        that nobody remembers) it is the oldest one: any later one could lie behind the point.

    Raises:
        TargetError: there is no backup, or the point lies before the first or in the future.
    """
    usable = repository.usable
    if label:
        usable = tuple(b for b in repository.backups if b.label == label and not b.failed)
        if not usable:
            raise TargetError(f"there is no usable backup {label}: see `pigsty pgsql backups`")
    if not usable:
        raise TargetError(f"there is no backup to restore from ({repository.message})")
    if wanted.kind in ("latest", "immediate"):
        return usable[-1]
    first = usable[0]
    if wanted.kind == "xid" and committed is not None:
        fitting = [backup for backup in usable if backup.end < committed]
        if not fitting:
            raise TargetError(
                f"transaction {wanted.value} committed at {moment(committed)}, before the end of "
                f"the first backup ({moment(first.end)})"
            )
        return fitting[-1]
    if wanted.kind in ("xid", "name"):
        return first
    if wanted.kind == "lsn":
        fitting = [b for b in usable if position(b.lsn_end) <= position(wanted.value)]
        if not fitting:
            raise TargetError(
                f"{wanted.value} lies before the end of the first backup ({first.lsn_end})"
            )
        return fitting[-1]
    at = datetime.fromisoformat(wanted.value).timestamp()
    if at > now:
        raise TargetError(f"{wanted.value} lies in the future: it is {moment(now)} there")
    # pgBackRest writes whole seconds; the same second may be before the end.
    fitting = [backup for backup in usable if backup.end < at]
    if not fitting:
        raise TargetError(
            f"{wanted.value} lies before the end of the first backup ({moment(first.end)})"
        )
    return fitting[-1]


def position(lsn: str) -> int:
    """Return an LSN as a number."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def moment(seconds: float) -> str:
    """Return a time as people and PostgreSQL read it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S+00")


def _backup(entry: Mapping[str, Any]) -> Backup:
    info, archive = entry.get("info") or {}, entry.get("archive") or {}
    times = entry.get("timestamp") or {}
    return Backup(
        label=str(entry.get("label", "")),
        kind=str(entry.get("type", "")),
        begin=int(times.get("start", 0)),
        end=int(times.get("stop", 0)),
        size=int(info.get("size", 0)),
        stored=int((info.get("repository") or {}).get("delta", 0)),
        wal_begin=str(archive.get("start") or ""),
        wal_end=str(archive.get("stop") or ""),
        lsn_end=str((entry.get("lsn") or {}).get("stop") or "0/0"),
        failed=bool(entry.get("error")),
        database=_database(entry),
    )


def _line(words: object) -> str:
    """Return what is wrong; the lines that follow tell of every try."""
    return (str(words or "").splitlines() or [""])[0]


def _database(entry: Mapping[str, Any]) -> int:
    return int((entry.get("database") or {}).get("id", 1))


def _lsn(text: str) -> Target | None:
    return Target("lsn", text.upper()) if _LSN.fullmatch(text) else None


def _xid(text: str) -> Target | None:
    return Target("xid", text) if text.isascii() and text.isdigit() else None


def _name(text: str) -> Target | None:
    return Target("name", text) if _NAME.fullmatch(text) else None


def _time(text: str) -> Target | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return Target("time", found.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00:00"))
