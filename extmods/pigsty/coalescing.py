"""Which hints are one reaction: a burst is one line of the journal, however slowly it is read.

A hint says no more than "look". So it is served by every look at the truth that began after it was
fired, even if it was written down long after: Salt takes ten events a second, and a thousand may
have been fired at once. And a look that found dealt with what is true is told together with the
reaction just before or after it. Neither can hide anything: only a look that has come later than
the hint serves it, and the clock that both are told by is the master's.

These are steps of :class:`pigsty.journal.Journal`, each inside one of its transactions.
"""

from __future__ import annotations

import sqlite3

from pigsty import changes

#: Seconds in which hints join after a reaction with nothing to change: in a burst most say again
#: what was dealt with. What is really new waits so long at most.
REST = 3.0
#: The last look at each subject. ``known``: all that was true had been dealt with; ``quiet``:
#: nothing was changed.
SCHEMA = """
CREATE TABLE IF NOT EXISTS look (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    reaction INTEGER NOT NULL REFERENCES reaction (id),
    began REAL NOT NULL,
    ended REAL NOT NULL,
    known INTEGER NOT NULL,
    quiet INTEGER NOT NULL,
    PRIMARY KEY (kind, subject)
);
"""


def serving(
    db: sqlite3.Connection, kind: str, subject: str, fired: float, now: float
) -> int | None:
    """Return the reaction whose look at the truth began after a hint was fired.

    Args:
        db: the journal.
        kind: what the hint is about.
        subject: whom it is about.
        fired: when it was put on the bus, seconds since 1970.
        now: the present moment. A look that began later than now was told by a clock that has been
            put back since, and serves nothing.

    Returns:
        Its number; None when the truth is still to be looked at. A reaction that was given up
        serves nothing.
    """
    row = db.execute(
        "SELECT id FROM reaction WHERE kind = :kind AND subject = :subject AND state = 'running'"
        " AND began > :fired AND began <= :now UNION ALL"
        " SELECT r.id FROM look l JOIN reaction r ON r.id = l.reaction AND r.state = 'done'"
        " WHERE l.kind = :kind AND l.subject = :subject AND l.began > :fired AND l.began <= :now"
        " LIMIT 1",
        {"kind": kind, "subject": subject, "fired": fired, "now": now},
    ).fetchone()
    return int(row["id"]) if row else None


def rest(db: sqlite3.Connection, kind: str, subject: str, now: float) -> float:
    """Return for how many seconds a hint should wait for others: 0 unless the last look was quiet.

    Args:
        db: the journal.
        kind: what the hint is about.
        subject: whom it is about.
        now: seconds since 1970.
    """
    row = db.execute(
        "SELECT ended FROM look WHERE kind = ? AND subject = ? AND quiet", (kind, subject)
    ).fetchone()
    return min(REST, max(0.0, float(row["ended"]) + REST - now)) if row else 0.0


def looked(
    db: sqlite3.Connection,
    reaction: tuple[int, str, str, float],
    began: float,
    now: float,
    *,
    known: bool,
    quiet: bool,
) -> None:
    """Write down that a reaction has looked and is done; one that found nothing new joins another.

    Args:
        db: the journal.
        reaction: its number, kind and subject, and when its first hint was fired.
        began: when it began to look, seconds since 1970.
        now: when it ended.
        known: whether all that was true had been dealt with.
        quiet: whether nothing was changed.
    """
    number, kind, subject, queued = reaction
    last = db.execute(
        "SELECT l.reaction, l.known FROM look l JOIN reaction r ON r.id = l.reaction"
        " AND r.state = 'done' WHERE l.kind = ? AND l.subject = ? AND l.ended BETWEEN ? AND ?",
        (kind, subject, queued - REST, now),
    ).fetchone()
    if last and known:
        join(db, number, last["reaction"])
        number, known = last["reaction"], bool(last["known"])
    elif last and last["known"]:
        join(db, last["reaction"], number)
    db.execute(
        "INSERT OR REPLACE INTO look VALUES (?, ?, ?, ?, ?, ?, ?)",
        (kind, subject, number, began, now, known, quiet),
    )


def join(db: sqlite3.Connection, number: int, other: int) -> None:
    """Give a reaction's hints to another one, and forget it.

    Args:
        db: the journal.
        number: the one that goes.
        other: the one that stays.
    """
    changes.joined(db, number, other)
    db.execute("UPDATE event SET reaction = ? WHERE reaction = ?", (other, number))
    db.execute(
        "UPDATE reaction SET hints = hints + (SELECT hints FROM reaction WHERE id = ?)"
        " WHERE id = ?",
        (number, other),
    )
    db.execute("DELETE FROM reaction WHERE id = ?", (number,))
