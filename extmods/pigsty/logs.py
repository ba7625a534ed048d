"""Searching the logs that nodes have sent: a query, the words for journalctl, and what it answers.

Nothing here imports the rest of the core: infra nodes run this file and :mod:`pigsty.logserver`
with the system's own Python.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

#: Names of priorities, the worst first; the index is the number in the journal.
LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
#: Units that belong to a module; every other unit is the node's own.
UNITS: Mapping[str, tuple[str, ...]] = {
    "etcd": ("etcd",),
    "infra": (
        "dnsmasq", "nginx", "pigsty-logs", "prometheus", "prometheus-alertmanager",
        "prometheus-blackbox-exporter", "prometheus-nginx-exporter", "salt-master",
        "systemd-journal-remote",
    ),
    "pgsql": (
        "patroni", "pgbackrest", "pgbouncer", "postgres", "prometheus-pgbackrest-exporter",
        "prometheus-pgbouncer-exporter", "prometheus-postgres-exporter", "vip-manager",
    ),
}  # fmt: skip
#: The unit that puts the lines of files into the journal; it says whose they are.
FORWARDER = "pigsty-forward.service"
#: How many entries an answer may have, and how long the text of each.
MOST, LONGEST = 2000, 8192
FIELDS = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_PID,_SYSTEMD_UNIT,UNIT,_BOOT_ID"

_MODULE = {unit: module for module, units in UNITS.items() for unit in units}
_SPAN = re.compile(r"(\d{1,6})\s*(s|m|h|d|w)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_WORD = re.compile(r"[A-Za-z0-9@._:\\-]{1,200}\Z")
_HIDDEN = dict.fromkeys((*range(32), *range(127, 160)), "�")
_HIDDEN |= {ord("\n"): "\n", ord("\t"): "\t"}
#: Severities of PostgreSQL that the journal calls by another name.
_SEVERITIES = {"PANIC": 2, "FATAL": 3, "ERROR": 3, "WARNING": 4, "NOTICE": 5}
_UNITS_OF_TIME = timedelta(microseconds=1)


class QueryError(ValueError):
    """A query that can't be answered; the text says what is wrong with which part."""


@dataclass(frozen=True, slots=True)
class Name:
    """What a host is to a module: ``pgsql``, ``etcd``, ``infra`` or ``node``."""

    module: str
    cls: str
    ins: str


@dataclass(frozen=True, slots=True)
class Host:
    """A host whose logs are here.

    Attributes:
        ip: its address.
        node: its name.
        source: how its files are called.
        names: what it is to each of its modules; the last is the node itself.
    """

    ip: str
    node: str
    source: str
    names: tuple[Name, ...]

    def name_of(self, unit: str) -> Name:
        """Return whose entries a unit of this host writes."""
        module = _MODULE.get(unit, "node")
        return next((name for name in self.names if name.module == module), self.names[-1])


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes:
        target: a cluster, instance, host name or address; empty for any.
        cls: a cluster.
        ins: an instance.
        ip: an address.
        unit: a program, as its unit is called, without ``.service``.
        level: the least bad priority, an index of :data:`LEVELS`; None for all.
        pattern: a regular expression that the text matches, in any case; empty for all.
        since: microseconds since 1970 from which on entries count.
        until: microseconds since 1970 until which they count; None for no end.
        limit: how many entries at most, the newest.
    """

    target: str = ""
    cls: str = ""
    ins: str = ""
    ip: str = ""
    unit: str = ""
    level: int | None = None
    pattern: str = ""
    since: int = 0
    until: int | None = None
    limit: int = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Attributes:
        stamp: microseconds since 1970 at which it came to the journal.
        time: when it was written, as the program says or else the journal, in UTC.
        cls: the cluster.
        ins: the instance.
        ip: the host's address.
        node: the host's name.
        unit: the program.
        level: one of :data:`LEVELS`.
        text: what it says; PostgreSQL's rows are put into words.
        boot: which boot of the host it belongs to.
    """

    stamp: int
    time: str
    cls: str
    ins: str
    ip: str
    node: str
    unit: str
    level: str
    text: str
    boot: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "boot"}

    @property
    def key(self) -> tuple[Any, ...]:
        """What two copies of one entry have in common: an upload that broke off is repeated."""
        return (self.stamp, self.ip, self.boot, self.unit, self.text)


def query(given: Mapping[str, str], now: datetime) -> Query:
    """Return the query that the parameters of an address describe.

    Args:
        given: ``target``, ``cls``, ``ins``, ``ip``, ``unit``, ``level``, ``text`` (taken as it is),
            ``grep`` (a regular expression), ``since`` and ``until`` (see :func:`moment`),
            ``limit``.
        now: this moment.

    Raises:
        QueryError: a parameter is unknown, or says what can't be.
    """
    known = {"text", "grep", "since", "until", "level", "limit"}
    names = ("target", "cls", "ins", "ip", "unit")
    for name in given.keys() - known - set(names):
        raise QueryError(f"unknown parameter {name!r}")
    for name in names:
        if given.get(name) and not _WORD.match(given[name]):
            raise QueryError(f"{name}: {given[name]!r} is no name")
    level = given.get("level", "")
    if level and level not in LEVELS:
        raise QueryError(f"level: {level!r} is none of {', '.join(LEVELS)}")
    limit = given.get("limit") or "200"
    if not (limit.isdecimal() and 0 < int(limit) <= MOST):
        raise QueryError(f"limit: {limit!r} is no number from 1 to {MOST}")
    if given.get("text") and given.get("grep"):
        raise QueryError("text and grep: give one of them")
    until = given.get("until", "")
    return Query(
        **{name: given.get(name, "").removesuffix(".service") for name in names},
        level=LEVELS.index(level) if level else None,
        pattern=given.get("grep") or literal(given.get("text", "")),
        since=moment(given.get("since") or "1d", now),
        until=moment(until, now) if until else None,
        limit=int(limit),
    )


def moment(text: str, now: datetime) -> int:
    """Return a moment as microseconds since 1970.

    Args:
        text: how long ago (``10m``, ``2h``, ``1d``), a date with or without a time (UTC unless it
            says otherwise), or the microseconds themselves.
        now: this moment.

    Raises:
        QueryError: it is none of these.
    """
    span = _SPAN.match(text.strip())
    if span:
        found = now - timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
    elif text.isdecimal() and len(text) == 16:
        return int(text)
    else:
        try:
            found = datetime.fromisoformat(text.strip())
        except ValueError:
            hint = "say how long ago (10m, 2h, 1d) or when (2026-05-01 12:30)"
            raise QueryError(f"{text!r} is no moment: {hint}") from None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // _UNITS_OF_TIME


def literal(text: str) -> str:
    """Return the pattern of a text as it is; a quote also matches as a row of CSV has it, twice."""
    parts = (part.replace("\\E", "\\E\\\\E\\Q") for part in text.split('"'))
    return '"{1,2}'.join(f"\\Q{part}\\E" if part else "" for part in parts)


def hosts(text: str) -> list[Host]:
    """Read the file that says whose logs are here (see :mod:`pigsty.render.logs`)."""
    return [
        Host(
            row["ip"],
            row["node"],
            row["source"],
            tuple(Name(name["module"], name["cls"], name["ins"]) for name in row["names"]),
        )
        for row in json.loads(text)
    ]


def wanted(query: Query, host: Host) -> set[str] | None:
    """Return the modules of a host that a query asks for; None when it doesn't ask for the host."""
    if query.ip and query.ip != host.ip:
        return None
    whole = not query.target or query.target in (host.ip, host.node)
    found = {
        name.module
        for name in host.names
        if (whole or query.target in (name.cls, name.ins))
        and query.cls in ("", name.cls)
        and query.ins in ("", name.ins)
    }
    return found or None


def command(query: Query, modules: set[str], files: Sequence[str]) -> list[str]:
    """Return the call of journalctl that answers a query for one host, the newest entry first.

    Args:
        query: what is looked for.
        modules: whose entries, see :func:`wanted`.
        files: the journal files of the host.
    """
    words = ["journalctl", "--quiet", "--no-pager", "--all", "--reverse", "--output=json"]
    words += [f"--output-fields={FIELDS}", *(f"--file={file}" for file in files)]
    words.append(f"--since=@{query.since // 1_000_000}")
    if query.until is not None:
        words.append(f"--until=@{query.until // 1_000_000 + 1}")
    if query.level is not None:
        words.append(f"--priority={query.level}")
    if query.pattern:
        words += ["--case-sensitive=false", f"--grep={query.pattern}"]
    units = [query.unit] if query.unit else []
    if not units and "node" not in modules:
        units = [unit for module in sorted(modules) for unit in UNITS.get(module, ())]
    matches: list[str] = []
    for unit in units:
        for match in (f"_SYSTEMD_UNIT={unit}.service", f"UNIT={unit}.service",
                      f"SYSLOG_IDENTIFIER={unit}"):  # fmt: skip
            matches += [*(["+"] if matches else []), match]
    return words + matches


def entry(line: str | bytes, host: Host) -> Entry | None:
    """Return the entry of one line of journalctl's JSON; None for a line that is none."""
    try:
        data = json.loads(line)
        stamp = int(data["__REALTIME_TIMESTAMP"])
    except (ValueError, KeyError, TypeError):
        return None
    unit = _unit(data)
    name = host.name_of(unit)
    priority = _one(data.get("PRIORITY"))
    level = int(priority) if priority.isdecimal() and int(priority) < len(LEVELS) else 6
    text, time = _text(data.get("MESSAGE")), _iso(stamp)
    if unit == "postgres":
        text, time, level = _row(text, time, level)
    text = text.translate(_HIDDEN).rstrip()
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text) - LONGEST} more characters)"
    return Entry(
        stamp, time, name.cls, name.ins, host.ip, host.node, unit, LEVELS[level], text,
        _one(data.get("_BOOT_ID")),
    )  # fmt: skip


def accepts(query: Query, modules: set[str], host: Host, found: Entry) -> bool:
    """Return whether an entry that journalctl found is what a query asks for."""
    return (
        query.since <= found.stamp
        and (query.until is None or found.stamp <= query.until)
        and query.unit in ("", found.unit)
        and host.name_of(found.unit).module in modules
    )


def _unit(data: Mapping[str, Any]) -> str:
    """Return the program that an entry comes from."""
    said, unit = _one(data.get("SYSLOG_IDENTIFIER")), _one(data.get("_SYSTEMD_UNIT"))
    if unit == FORWARDER and said not in ("", "rsyslogd"):
        return said
    # What systemd says about a unit belongs to that unit.
    about = _one(data.get("UNIT")) or unit
    return about.removesuffix(".service") if about.endswith(".service") else said or "kernel"


def _one(value: Any) -> str:
    """Return a field as a text; of one that an entry has several times, the first."""
    if isinstance(value, list) and value and not isinstance(value[0], int):
        value = value[0]
    return _text(value)


def _text(value: Any) -> str:
    """Return a field as a text; journalctl gives bytes that are no text as numbers."""
    if isinstance(value, list):
        if value and not all(isinstance(part, int) for part in value):
            return _text(value[0])
        return bytes(part & 255 for part in value).decode("utf-8", errors="replace")
    return value if isinstance(value, str) else ""


def _iso(stamp: int) -> str:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=stamp)
    return when.strftime("%Y-%m-%d %H:%M:%S.") + f"{when.microsecond // 1000:03d}"


def _row(text: str, time: str, level: int) -> tuple[str, str, int]:
    """Return text, time and priority of a row of PostgreSQL's CSV; another text stays as it is."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error:
        return text, time, level
    if len(rows) != 1 or len(rows[0]) < 23:
        return text, time, level
    row = rows[0]
    when, user, database, pid, client = row[:5]
    severity, state, message = row[11:14]
    who = f"{user}@{database}" if user or database else ""
    head = " ".join(part for part in (who, client, f"[{pid}]") if part)
    code = f" {state}" if state not in ("", "00000") else ""
    said = [f"{head} {severity}{code}: {message}"]
    labels = ((14, "DETAIL"), (15, "HINT"), (18, "CONTEXT"), (19, "STATEMENT"))
    said += [f"{label}: {row[index]}" for index, label in labels if row[index]]
    if when.endswith((" UTC", " GMT")):
        time = when[:-4]
    return "\n".join(said), time, _SEVERITIES.get(severity, level)


def newest(entries: Iterable[Entry], limit: int) -> list[Entry]:
    """Return the newest entries, each once, in the order of time."""
    once = {entry.key: entry for entry in entries}
    ordered = sorted(once.values(), key=lambda entry: (entry.stamp, entry.ip, entry.unit))
    return ordered[-limit:]
