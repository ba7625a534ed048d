"""What happened, and what was done about it: a durable record that is the queue of reactions too.

Events are hints on a bus that may lose them, and a master may stop at any moment. So a hint is
written down first, and the reaction that it asks for stays here until it has ended. One reaction is
queued per subject (a cluster, a node, the inventory) and kind: further hints join it. At most one
reaction per subject runs at a time. Which hints are one reaction besides: ``coalescing.py``.

The record is an SQLite file that the master's processes share.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pigsty import changes, coalescing
from pigsty.deadlines import DEADLINES
from pigsty.errors import PigstyError
from pigsty.events import Hint
from pigsty.tally import WINDOW, Ended, Tally

PATH = Path("/var/lib/pigsty/journal.db")
#: Entries older than so many seconds are forgotten (90 days), and the oldest beyond so many.
KEEP_SECONDS = 90 * 86400
KEEP_ENTRIES = 200_000

State = Literal["queued", "running", "done", "failed"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reaction (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    queued REAL NOT NULL,
    due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    began REAL,
    ended REAL,
    hints INTEGER NOT NULL DEFAULT 1,
    outcome TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX IF NOT EXISTS one_queued ON reaction (kind, subject) WHERE state = 'queued';
CREATE INDEX IF NOT EXISTS ended ON reaction (subject, kind, ended);
CREATE INDEX IF NOT EXISTS waiting ON reaction (due) WHERE state IN ('queued', 'running');
CREATE INDEX IF NOT EXISTS reaction_ended ON reaction (ended);
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    sender TEXT NOT NULL,
    data TEXT NOT NULL,
    refused TEXT NOT NULL DEFAULT '',
    reaction INTEGER REFERENCES reaction (id)
);
CREATE INDEX IF NOT EXISTS event_at ON event (at);
CREATE TABLE IF NOT EXISTS settled (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    fact TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (kind, subject)
);
"""


class JournalError(PigstyError):
    """The journal can't be read or written: the disk is full, or the file is damaged."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What was, is or will be done about something.

    Attributes:
        id: its number.
        kind: what it reacts to, a key of :data:`pigsty.events.TAGS`.
        subject: a cluster, a node, or what else the kind is about.
        state: ``queued``, ``running``, ``done`` or ``failed``.
        queued: when the first event was fired, seconds since 1970, as all times here.
        due: not before this.
        attempts: how often it began.
        began: when the last attempt began.
        ended: when it ended.
        hints: how many hints asked for it.
        outcome: a sentence.
        detail: more about it, for machines.
    """

    id: int
    kind: str
    subject: str
    state: State
    queued: float
    due: float
    attempts: int
    began: float | None
    ended: float | None
    hints: int
    outcome: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A hint that came, and the reaction that it led to (None: it was refused).

    Attributes:
        id: its number.
        at: when it was fired.
        hint: what it said.
        refused: why nothing follows from it, else "".
        reaction: what follows.
    """

    id: int
    at: float
    hint: Hint
    refused: str
    reaction: Reaction | None


class Journal:
    """The record; open it once per process and thread.

    Args:
        path: the file; its folder is made, and only its owner may read it.

    Raises:
        JournalError: it can't be opened.
    """

    def __init__(self, path: Path = PATH) -> None:
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(
                path, timeout=DEADLINES["journal.lock"], isolation_level=None
            )
            self._db.row_factory = sqlite3.Row
            # Readers don't wait for writers. A power cut may cost the last moment, which the next
            # reconcile finds; it never damages the file.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA + coalescing.SCHEMA + changes.SCHEMA)
            if not changes.named(self._db):
                with self._transaction():
                    changes.begin(self._db)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{path}: {error}") from error

    def close(self) -> None:
        """Give it back."""
        self._db.close()

    def note(
        self,
        hint: Hint,
        now: float,
        refused: str = "",
        delay: float = 0.0,
        fired: float | None = None,
    ) -> int | None:
        """Write a hint down; it joins the reaction that serves it, or one is queued.

        Args:
            hint: what came.
            now: seconds since 1970.
            refused: why nothing must follow from it.
            delay: seconds in which further hints may join before it begins.
            fired: when the event was put on the bus; now by default.

        Returns:
            The number of the reaction, None for a refused hint.
        """
        at = now if fired is None else fired
        with self._transaction():
            number = None
            if not refused:
                number = self._serving(hint, at, now)
                number = number or self._queue(hint.kind, hint.subject, at, now + delay)
            self._db.execute(
                "INSERT INTO event (at, kind, subject, sender, data, refused, reaction)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (at, hint.kind, hint.subject, hint.sender, json.dumps(dict(hint.data)), refused,
                 number),
            )  # fmt: skip
        return number

    def _serving(self, hint: Hint, fired: float, now: float) -> int | None:
        """Have a hint join the reaction that has looked since it was fired, if there is one."""
        number = coalescing.serving(self._db, hint.kind, hint.subject, fired, now)
        if number is not None:
            self._db.execute("UPDATE reaction SET hints = hints + 1 WHERE id = ?", (number,))
        return number

    def _queue(self, kind: str, subject: str, at: float, due: float) -> int:
        row = self._db.execute(
            "INSERT INTO reaction (kind, subject, state, queued, due) VALUES (?, ?, 'queued', ?, ?)"
            " ON CONFLICT (kind, subject) WHERE state = 'queued' DO UPDATE SET hints = hints + 1,"
            " queued = min(queued, excluded.queued), due = min(due, excluded.due), attempts = 0"
            " RETURNING id",
            (kind, subject, at, due),
        ).fetchone()
        return int(row["id"])

    def rest(self, kind: str, subject: str, now: float) -> float:
        """Return for how long a hint should wait for others that say the same.

        Args:
            kind: what it is about.
            subject: whom it is about.
            now: seconds since 1970.

        Returns:
            Seconds; 0 unless the last reaction to such a hint has just found nothing to change.
        """
        return coalescing.rest(self._db, kind, subject, now)

    def take(self, now: float) -> Reaction | None:
        """Begin the reaction that has been due longest and whose subject has none running."""
        with self._transaction():
            row = self._db.execute(
                "UPDATE reaction SET state = 'running', began = ?, attempts = attempts + 1"
                " WHERE id = (SELECT id FROM reaction r WHERE state = 'queued' AND due <= ?"
                "  AND NOT EXISTS (SELECT 1 FROM reaction o WHERE o.state = 'running'"
                "   AND o.subject = r.subject)"
                "  ORDER BY due, id LIMIT 1) RETURNING *",
                (now, now),
            ).fetchone()
        return _reaction(row) if row else None

    def end(
        self,
        reaction: Reaction,
        state: Literal["done", "failed"],
        outcome: str,
        now: float,
        detail: Mapping[str, Any] | None = None,
        settled: str | None = None,
        *,
        known: bool = False,
    ) -> None:
        """Write down how a reaction ended.

        Args:
            reaction: one that runs.
            state: how.
            outcome: a sentence.
            now: seconds since 1970.
            detail: more, for machines; no secrets.
            settled: the fact that has been dealt with now (see :meth:`settled`).
            known: whether all that is true had been dealt with before. Then it is no line of its
                own if another reaction ended just before it, or ends just after it.
        """
        with self._transaction():
            self._db.execute(
                "UPDATE reaction SET state = ?, ended = ?, outcome = ?, detail = ? WHERE id = ?",
                (state, now, outcome, json.dumps(dict(detail or {})), reaction.id),
            )
            if settled is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO settled VALUES (?, ?, ?, ?)",
                    (reaction.kind, reaction.subject, settled, now),
                )
            if state == "done":
                coalescing.looked(
                    self._db,
                    (reaction.id, reaction.kind, reaction.subject, reaction.queued),
                    reaction.began or now,
                    now,
                    known=known,
                    quiet=not any((detail or {}).values()),
                )

    def retry(self, reaction: Reaction, due: float, why: str, *, counted: bool = True) -> None:
        """Have a reaction tried again; hints that came meanwhile are served by the same attempt.

        Args:
            reaction: one that runs.
            due: not before this, seconds since 1970.
            why: a sentence.
            counted: whether what it did was an attempt.
        """
        with self._transaction():
            waiting = self._db.execute(
                "SELECT id FROM reaction WHERE state = 'queued' AND kind = ? AND subject = ?",
                (reaction.kind, reaction.subject),
            ).fetchone()
            if waiting:
                # The one that waits is newer and brings its own attempts; ours joins it.
                self._db.execute(
                    "UPDATE reaction SET queued = min(queued, ?) WHERE id = ?",
                    (reaction.queued, waiting["id"]),
                )
                coalescing.join(self._db, reaction.id, waiting["id"])
                return
            self._db.execute(
                "UPDATE reaction SET state = 'queued', due = ?, outcome = ?, attempts = ?"
                " WHERE id = ?",
                (due, why, reaction.attempts - (not counted), reaction.id),
            )

    def recover(self, now: float) -> int:
        """Queue again what ran when its process ended; return how many there were."""
        rows = self._db.execute("SELECT * FROM reaction WHERE state = 'running'").fetchall()
        for row in rows:
            self.retry(_reaction(row), now, "the process that carried it out ended")
        return len(rows)

    def settled(self, kind: str, subject: str) -> str | None:
        """Return the fact that was dealt with last, for example who led; None: nothing yet."""
        row = self._db.execute(
            "SELECT fact FROM settled WHERE kind = ? AND subject = ?", (kind, subject)
        ).fetchone()
        return row["fact"] if row else None

    def settle(self, kind: str, subject: str, fact: str, now: float) -> None:
        """Write down that a fact was dealt with, by whomever: a person's apply counts too."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO settled VALUES (?, ?, ?, ?)", (kind, subject, fact, now)
            )

    def facts(self, kind: str) -> dict[str, str]:
        """Return every fact of a kind that was dealt with, by subject."""
        rows = self._db.execute("SELECT subject, fact FROM settled WHERE kind = ?", (kind,))
        return {row["subject"]: row["fact"] for row in rows}

    def moments(self, kind: str) -> dict[str, float]:
        """Return when every fact of a kind was dealt with, by subject."""
        rows = self._db.execute("SELECT subject, at FROM settled WHERE kind = ?", (kind,))
        return {row["subject"]: row["at"] for row in rows}

    def forget(self, kind: str, subject: str) -> None:
        """Forget what was dealt with: the next look at it begins from nothing."""
        with self._transaction():
            self._db.execute("DELETE FROM settled WHERE kind = ? AND subject = ?", (kind, subject))

    def next_due(self) -> float | None:
        """Return when the next queued reaction is due; None when none is queued."""
        row = self._db.execute(
            "SELECT min(due) AS due FROM reaction WHERE state = 'queued'"
        ).fetchone()
        return row["due"]  # type: ignore[no-any-return]

    def version(self) -> int:
        """Return a number that is another one after any other connection has written."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def name(self) -> str:
        """Return what this journal is called, and no other."""
        return changes.named(self._db)

    def rename(self) -> None:
        """Take another name: what others have copied under the old one isn't this journal's."""
        with self._transaction():
            changes.rename(self._db)

    def revision(self) -> int:
        """Return a number that grows when a reaction ends, or changes after its end."""
        return changes.revision(self._db)

    def changed(self, after: int, limit: int) -> list[tuple[int, int, float]]:
        """Return which ended reactions have changed: revision, number, and when it was queued.

        Args:
            after: only with a higher revision.
            limit: how many at most.
        """
        return changes.since(self._db, after, limit)

    def entries(
        self,
        since: float = 0.0,
        after: int = 0,
        subjects: Sequence[str] = (),
        limit: int = 1000,
        reaction: int | None = None,
    ) -> list[Entry]:
        """Return the newest hints with their reactions, oldest first.

        Args:
            since: not before this, seconds since 1970.
            after: only with a higher number.
            subjects: only about these; all by default.
            limit: how many at most.
            reaction: only those of this one; of all by default.
        """
        about = f" AND e.subject IN ({', '.join('?' * len(subjects))})" if subjects else ""
        about += "" if reaction is None else " AND e.reaction = ?"
        numbers = () if reaction is None else (reaction,)
        columns = ", ".join(f"r.{name} AS r_{name}" for name in _COLUMNS)
        rows = self._db.execute(
            f"SELECT e.*, {columns} FROM event e LEFT JOIN reaction r ON r.id = e.reaction"  # noqa: S608
            f" WHERE e.at >= ? AND e.id > ?{about} ORDER BY e.id DESC LIMIT ?",
            (since, after, *subjects, *numbers, limit),
        ).fetchall()
        return [_entry(row) for row in reversed(rows)]

    def open(self) -> list[Reaction]:
        """Return what is queued or runs, the oldest first."""
        rows = self._db.execute(
            "SELECT * FROM reaction WHERE state IN ('queued', 'running') ORDER BY id"
        ).fetchall()
        return [_reaction(row) for row in rows]

    def tally(self, now: float) -> Tally:
        """Return how many reactions wait, run and ended, for the metrics.

        Args:
            now: seconds since 1970.
        """
        rows = self._db.execute(
            "SELECT state, count(*) AS count, min(due) AS due FROM reaction"
            " WHERE state IN ('queued', 'running') GROUP BY state"
        ).fetchall()
        due = next((row["due"] for row in rows if row["state"] == "queued"), now)
        ended = self._db.execute(
            "SELECT kind, state, count(*) AS count, avg(ended - queued) AS average,"
            " max(ended - queued) AS longest FROM reaction"
            " WHERE ended >= ? AND state IN ('done', 'failed') GROUP BY kind, state",
            (now - WINDOW,),
        ).fetchall()
        refused = self._db.execute(
            "SELECT count(*) AS count FROM event WHERE at >= ? AND refused <> ''", (now - WINDOW,)
        ).fetchone()
        return Tally(
            open={row["state"]: row["count"] for row in rows},
            overdue=max(0.0, now - due),
            ended={
                (row["kind"], row["state"]): Ended(row["count"], row["average"], row["longest"])
                for row in ended
            },
            refused=refused["count"],
        )

    def prune(self, now: float) -> None:
        """Forget what is old, and the oldest of what is too much."""
        with self._transaction():
            last = self._db.execute("SELECT max(id) AS id FROM event").fetchone()["id"] or 0
            self._db.execute(
                "DELETE FROM event WHERE at < ? OR id <= ?",
                (now - KEEP_SECONDS, last - KEEP_ENTRIES),
            )
            self._db.execute(
                "DELETE FROM reaction WHERE state IN ('done', 'failed')"
                " AND id NOT IN (SELECT reaction FROM event WHERE reaction IS NOT NULL)"
            )
            self._db.execute("DELETE FROM look WHERE reaction NOT IN (SELECT id FROM reaction)")
            changes.prune(self._db)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            # At once: two readers that both want to write could otherwise only give up.
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise JournalError(f"the journal can't be written: {error}") from error


_COLUMNS = tuple(Reaction.__slots__)


def _reaction(row: Mapping[str, Any] | sqlite3.Row, prefix: str = "") -> Reaction:
    values = {name: row[f"{prefix}{name}"] for name in _COLUMNS}
    return Reaction(**{**values, "detail": MappingProxyType(json.loads(values["detail"]))})


def _entry(row: sqlite3.Row) -> Entry:
    hint = Hint(row["kind"], row["subject"], row["sender"], json.loads(row["data"]))
    reaction = None if row["reaction"] is None or row["r_id"] is None else _reaction(row, "r_")
    return Entry(row["id"], row["at"], hint, row["refused"], reaction)


def now() -> float:
    """Return the time as the journal counts it: seconds since 1970."""
    return time.time()
