"""What has changed among the ended reactions of the journal, in an order: for who keeps a copy.

Each time that a reaction ends, or that one that has ended gets another hint, it has a new revision,
higher than all before. So whoever knows the highest revision of a copy knows all that it lacks. One
that has joined another is gone, and has a revision too; one that was only forgotten for its age has
none any more. A reaction is known by its number and by when it was queued: a number may come again.

These are steps of :class:`pigsty.journal.Journal`, each inside one of its transactions.
"""

from __future__ import annotations

import sqlite3
import uuid

SCHEMA = """
CREATE INDEX IF NOT EXISTS event_reaction ON event (reaction);
CREATE TABLE IF NOT EXISTS change (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    reaction INTEGER NOT NULL,
    queued REAL NOT NULL,
    joined INTEGER,
    UNIQUE (reaction, queued)
);
CREATE TABLE IF NOT EXISTS identity (name TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS changed AFTER UPDATE ON reaction
WHEN new.state IN ('done', 'failed') BEGIN
    INSERT OR REPLACE INTO change (reaction, queued) VALUES (new.id, new.queued);
END;
"""


def begin(db: sqlite3.Connection) -> None:
    """Give a new journal its name; one from before there were revisions gets those too."""
    if named(db):
        return
    rename(db)
    db.execute(
        "INSERT OR IGNORE INTO change (reaction, queued) SELECT id, queued FROM reaction"
        " WHERE state IN ('done', 'failed') ORDER BY ended, id"
    )


def named(db: sqlite3.Connection) -> str:
    """Return the journal's name, which no other has; "" before it has one."""
    row = db.execute("SELECT name FROM identity").fetchone()
    return str(row["name"]) if row else ""


def rename(db: sqlite3.Connection) -> None:
    """Give the journal another name: it is no longer what copies know under the one it has."""
    db.execute("DELETE FROM identity")
    db.execute("INSERT INTO identity VALUES (?)", (str(uuid.uuid4()),))


def joined(db: sqlite3.Connection, number: int, other: int) -> None:
    """Write down that a reaction is part of another one; nothing, if it hadn't ended.

    Args:
        db: the journal.
        number: the one that goes.
        other: the one that stays. It has to get its revision after this.
    """
    db.execute("UPDATE change SET joined = ? WHERE joined = ?", (other, number))
    db.execute(
        "INSERT OR REPLACE INTO change (reaction, queued, joined)"
        " SELECT reaction, queued, ? FROM change WHERE reaction = ? AND joined IS NULL",
        (other, number),
    )


def prune(db: sqlite3.Connection) -> None:
    """Forget the changes of reactions that are forgotten, and of those that had joined them."""
    db.execute(
        "DELETE FROM change WHERE coalesce(joined, reaction) NOT IN (SELECT id FROM reaction)"
    )


def revision(db: sqlite3.Connection) -> int:
    """Return the highest revision that there ever was; 0 before the first."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'change'").fetchone()
    return int(row["seq"]) if row else 0


def since(db: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, int, float]]:
    """Return what has a higher revision: revision, reaction and when that was queued, in order.

    Args:
        db: the journal.
        after: a revision.
        limit: how many at most.
    """
    rows = db.execute(
        "SELECT revision, reaction, queued FROM change WHERE revision > ?"
        " ORDER BY revision LIMIT ?",
        (after, limit),
    )
    return [(row["revision"], row["reaction"], row["queued"]) for row in rows]
