"""A copy of the journal in memory, which fails when it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pigsty.archive import Batch, Row
from pigsty.errors import ClientError


@dataclass
class Shelf:
    """What PostgreSQL would hold: rows by number and moment, each with the journal's name."""

    rows: dict[tuple[int, float], tuple[str, Row]] = field(default_factory=dict)
    sessions: int = 0
    batches: list[Batch] = field(default_factory=list)
    failure: str = ""

    @contextmanager
    def session(self) -> Iterator[Shelf]:
        self.sessions += 1
        if self.failure:
            raise ClientError(self.failure)
        yield self

    def revision(self, journal: str) -> int:
        return max((row.revision for name, row in self.rows.values() if name == journal), default=0)

    def write(self, journal: str, batch: Batch) -> None:
        if self.failure:
            raise ClientError(self.failure)
        self.batches.append(batch)
        for key in batch.gone:
            self.rows.pop(key, None)
        for row in batch.rows:
            self.rows[row.id, row.queued] = (journal, row)

    def lines(self) -> dict[int, str]:
        """Outcomes by number."""
        return {number: row.outcome for (number, _queued), (_name, row) in self.rows.items()}
