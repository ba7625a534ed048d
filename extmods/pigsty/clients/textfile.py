"""Collects what the admin node knows and leaves it where its node_exporter publishes it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pigsty import alive, drift, kept, metrics
from pigsty.clients import keys, minions
from pigsty.errors import PigstyError
from pigsty.journal import Journal
from pigsty.kept import Kept
from pigsty.metrics import Snapshot
from pigsty.render.exporters import TEXTFILES

#: What Salt's master says when an event is lost: the reactor is behind, or somebody who listens.
PHRASES = (b"TaskPool queue is full", b"discarding slow subscriber")


class LogCount:
    """How often some phrases have come in a log that grows and is rotated.

    Args:
        path: the log; what stands in it already isn't counted.
        phrases: what is looked for.
    """

    def __init__(self, path: Path, phrases: Sequence[bytes] = PHRASES) -> None:
        self._path, self._phrases = path, phrases
        self._inode, self._offset = self._place()
        self._count = 0

    def count(self) -> int:
        """Return how often until now."""
        inode, size = self._place()
        if inode != self._inode or size < self._offset:
            self._inode, self._offset = inode, 0
        if size > self._offset:
            with suppress(OSError), self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read(size - self._offset)
                # A line that is still being written is read next time.
                whole = new[: new.rfind(b"\n") + 1]
                self._offset += len(whole)
                self._count += sum(whole.count(phrase) for phrase in self._phrases)
        return self._count

    def _place(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_size


@dataclass(slots=True)
class Publisher:
    """What keeps the file of the admin node's metrics.

    Attributes:
        inventory: path of the inventory.
        port: of the master's publisher, to which minions connect.
        pki: folder of the master's keys.
        log: the master's log.
        behind: tells for how long the journal's copy has failed, in seconds.
        folder: where node_exporter looks; without it nothing is written.
        applies: the record of applies.
        signs: folder of the signs of life.
    """

    inventory: str
    port: int
    pki: Path
    log: LogCount
    behind: Callable[[], float]
    folder: Path = Path(TEXTFILES)
    applies: Path = metrics.APPLIES_FILE
    signs: Path = alive.FOLDER

    def publish(self, journal: Journal, now: float) -> None:
        """Write the file anew, at once; without a usable inventory, the old one stays."""
        if not self.folder.is_dir():
            return
        with suppress(OSError, PigstyError):
            text = metrics.text(self._snapshot(journal, now))
            new = self.folder / f"{metrics.FILE}.{os.getpid()}.new"
            new.write_text(text, encoding="utf-8")
            new.replace(self.folder / metrics.FILE)

    def _snapshot(self, journal: Journal, now: float) -> Snapshot:
        topology = kept.serving(self.inventory, Kept().good).topology
        known = keys.ids(self.pki)
        # The admin node's own minion may connect from any address of this machine.
        own = {topology.admin_ip} & known.get("accepted", frozenset())
        return Snapshot(
            topology,
            known,
            minions.connected(self.port) | own,
            _read(self.applies),
            drift.readings(journal),
            journal.tally(now),
            alive.signs(self.signs),
            self.log.count(),
            self.behind(),
        )


def _read(path: Path) -> dict[str, Any]:
    """Return a record; nothing where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
