"""A recovery to a point in time: what the inventory asks for, and what would be lost by it.

Pure: the member measures the window, the command line shows it before anything is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pigsty import backups
from pigsty.backups import Target, TargetError

#: Keys of ``pg_pitr`` that name a point, as pgBackRest's types are called.
_POINTS = ("time", "lsn", "xid", "name")
_TYPES = ("default", "immediate", *_POINTS)
#: Words that mean the same as leaving a key out.
_NEWEST = frozenset(("", "latest", "default"))
#: Keys that other tools know, the value that changes nothing here, and what to do instead.
_UNSUPPORTED: Mapping[str, tuple[Any, str]] = {
    "action": ("promote", "a cluster is always promoted; look first with `pigsty pgsql restore`"),
    "archive": (True, "archiving goes on, or nobody could come back to what follows"),
    "backup": (False, "what is undone stays in the archive"),
    "data": ("/pg/data", "for a copy elsewhere: `pigsty pgsql restore --side PORT`"),
    "db_exclude": (None, "a server is restored as a whole; take the database from a copy"),
    "db_include": (None, "a server is restored as a whole; take the database from a copy"),
    "link_map": (None, "the data come back to where they were"),
    "port": (None, "for a copy on another port: `pigsty pgsql restore --side PORT`"),
    "process": (None, "a restore uses all CPUs"),
    "repo": (None, "the repository is that of pgbackrest_method"),
}
_KNOWN = ("cluster", "type", *_POINTS, "set", "timeline", "exclusive", *_UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Request:
    """A restore that the inventory declares.

    Attributes:
        source: the cluster whose backups are taken.
        target: where to.
        label: the backup to begin with, "" for the best one.
        timeline: the timeline to follow, "" for the newest.
    """

    source: str
    target: Target
    label: str = ""
    timeline: str = ""


@dataclass(frozen=True, slots=True)
class Loss:
    """What lies between a point and now; None is what can't be told.

    Attributes:
        seconds: time.
        transactions: those that committed.
        bounded: there are more transactions than were counted.
        wal: bytes of WAL.
    """

    seconds: float | None = None
    transactions: int | None = None
    bounded: bool = False
    wal: int | None = None

    @property
    def text(self) -> str:
        """What a person reads before it is undone."""
        words = []
        if self.seconds is not None:
            words.append(str(timedelta(seconds=round(max(self.seconds, 0)))))
        if self.transactions is not None:
            more = "more than " if self.bounded else ""
            words.append(f"{more}{self.transactions} transactions")
        if self.wal is not None:
            words.append(f"about {self.wal / 2**20:.0f} MiB of WAL")
        return ", ".join(words) or "how much can't be told before it is done"


def exclusive(target: Target) -> Target:
    """Return a point that recovery stops right before, not behind.

    Raises:
        TargetError: there is no such thing for this kind.
    """
    if target.kind not in ("time", "lsn", "xid"):
        raise TargetError(f"exclusive means nothing for {target.text}: only for time, LSN and XID")
    return replace(target, exclusive=True)


def declared(values: object, cluster: str) -> Request:
    """Return what ``pg_pitr`` of the inventory asks for.

    Args:
        values: the parameter.
        cluster: whose it is.

    Raises:
        TargetError: it isn't made of keys, or a key is unknown, contradicts another, or asks for
            what isn't done here; the text says what to do instead.
    """
    if not isinstance(values, Mapping):
        raise TargetError(f"pg_pitr is {values!r}: it takes keys such as time; leave it out for no")
    given = {name: value for name, value in values.items() if value is not None}
    unknown = sorted(set(given) - set(_KNOWN))
    if unknown:
        raise TargetError(f"pg_pitr has no key {unknown[0]}: known are {', '.join(_KNOWN)}")
    for name, (harmless, instead) in _UNSUPPORTED.items():
        if name in given and str(given[name]).lower() != str(harmless).lower():
            raise TargetError(f"pg_pitr: {name}: {given[name]} is not done here: {instead}")
    target = _target(given)
    if str(given.get("exclusive", "")).lower() == "true":
        target = exclusive(target)
    timeline = _word(given, "timeline")
    if timeline and not timeline.isdigit():
        raise TargetError(f"pg_pitr: timeline {timeline} is no number")
    source = str(given.get("cluster") or cluster)
    return Request(source, target, _word(given, "set"), timeline)


def _target(given: Mapping[str, Any]) -> Target:
    points = [name for name in _POINTS if name in given]
    kind = str(given.get("type") or (points[0] if points else "default"))
    if kind not in _TYPES:
        raise TargetError(f"pg_pitr: type {kind} is none of {', '.join(_TYPES)}")
    wanted = [kind] if kind in _POINTS else []
    if points != wanted:
        raise TargetError(
            f"pg_pitr: type {kind} wants {kind if wanted else 'no point'}, and there is "
            f"{', '.join(points) or 'none'}"
        )
    if not wanted:
        return Target("latest" if kind == "default" else "immediate")
    return backups.target(f"{kind}:{given[kind]}")


def _word(given: Mapping[str, Any], name: str) -> str:
    word = str(given.get(name, ""))
    return "" if word in _NEWEST else word
