"""The copy of the journal in PostgreSQL: in which database it is, and what is written there.

The journal itself is a file beside the master: it has to be readable while the very cluster of this
database fails over. The copy keeps what the journal forgets, is asked in SQL, and is on every
member of that cluster and in its backups. Only reactions that have ended are in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pigsty import story
from pigsty.automatic import Automatic
from pigsty.journal import Entry, Journal, Reaction
from pigsty.topology import Topology

#: So many reactions are written in one transaction.
BATCH = 200
#: So many of a reaction's hints are kept, the newest: in a burst all say the same.
HINTS = 20


@dataclass(frozen=True, slots=True)
class Target:
    """The database of the copy.

    Attributes:
        cluster: its PostgreSQL cluster.
        database: its name.
        hosts: address and port of every member; the one that takes writes is found by asking.
        user: who writes.
    """

    cluster: str
    database: str
    hosts: tuple[tuple[str, int], ...]
    user: str

    def __str__(self) -> str:
        return f"{self.cluster}/{self.database}"


@dataclass(frozen=True, slots=True)
class Row:
    """An ended reaction, as it stands in the table.

    Attributes:
        id: its number; numbers may come again, so it is known by ``queued`` too.
        queued: when the first hint was fired, seconds since 1970, as all times here.
        revision: by which the journal knows its last change.
        began: when its last attempt began.
        ended: when it ended.
        kind: what it reacted to, for example ``pgsql.leader``.
        subject: whom it was about.
        cause: what the last hint said, as a sentence.
        causes: the newest hints: when, from whom, what they carried.
        hints: how many there were.
        attempts: how often it began.
        state: ``done`` or ``failed``.
        outcome: a sentence.
        effect: what was changed where, what failed, who is to follow.
    """

    id: int
    queued: float
    revision: int
    began: float | None
    ended: float
    kind: str
    subject: str
    cause: str
    causes: list[dict[str, Any]]
    hints: int
    attempts: int
    state: str
    outcome: str
    effect: Any


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written at once.

    Attributes:
        rows: reactions that ended, or changed since.
        gone: number and moment of what is part of another one now.
        revision: the journal's, once this is written; None: there was nothing to write.
    """

    rows: tuple[Row, ...] = ()
    gone: tuple[tuple[int, float], ...] = ()
    revision: int | None = None


def target(topology: Topology) -> Target | None:
    """Return the database of the copy; None where the inventory declares none.

    Args:
        topology: a deployment without errors.
    """
    declared = Automatic.of(topology.inventory).journal
    if not declared:
        return None
    name, _, database = declared.partition("/")
    cluster = topology.pg_clusters[name]
    hosts = tuple((member.ip, int(member.vars["pg_port"])) for member in cluster.members)
    return Target(name, database, hosts, str(cluster.vars["pg_admin_username"]))


def batch(journal: Journal, after: int) -> Batch:
    """Return the next of what a copy lacks.

    Args:
        journal: the record.
        after: the highest revision that the copy has.
    """
    rows: list[Row] = []
    gone: list[tuple[int, float]] = []
    revision = None
    for revision, number, queued in journal.changed(after, BATCH):
        entries = journal.entries(reaction=number, limit=HINTS)
        found = entries[-1].reaction if entries else None
        if found is None or found.ended is None or found.queued != queued:
            gone.append((number, queued))
        else:
            rows.append(_row(revision, found, found.ended, entries))
    return Batch(tuple(rows), tuple(gone), revision)


def _row(revision: int, reaction: Reaction, ended: float, entries: Sequence[Entry]) -> Row:
    causes = [
        {"at": entry.at, "sender": entry.hint.sender, "data": _plain(entry.hint.data)}
        for entry in entries
    ]
    return Row(
        id=reaction.id,
        queued=reaction.queued,
        revision=revision,
        began=reaction.began,
        ended=ended,
        kind=reaction.kind,
        subject=_text(reaction.subject),
        cause=_text(story.sentence(entries[-1].hint)),
        causes=causes,
        hints=reaction.hints,
        attempts=reaction.attempts,
        state=reaction.state,
        outcome=_text(reaction.outcome),
        effect=_plain(reaction.detail),
    )


def _plain(value: Any) -> Any:
    """Return plain data as PostgreSQL takes it in JSON: one bad value must not hold up the rest."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _text(text: str) -> str:
    """Return a text without what PostgreSQL has no place for: NUL, and halves of characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
