"""How far a backup, a restore or a recovery is: read from what pgBackRest and PostgreSQL say.

pgBackRest names on its console, at the level `detail`, each file that is done and the percentage of
the bytes so far, for backups and restores alike (2.45 to 2.59 are the same in this; its `info` has
a restore's only since 2.56, and asks the repository for it). A line that isn't understood changes
nothing: then the phase and the seconds are what is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: What makes pgBackRest tell of each file.
VERBOSE = "--log-level-console=detail"
#: A line of its console: time, process, level, text. Lines behind it that have none go with it.
_LINE = re.compile(r"(?:[\d-]{10} [\d:.]{8,12} )?P\d+ +(?P<level>[A-Z]+): (?P<text>.*)")
#: Levels that only tell; what stands at others is an error's or a warning's words.
_TELLING = frozenset(("INFO", "DETAIL"))
#: Of a file: its size (that which was announced, where it has changed since), and the percentage.
_FILE = re.compile(
    r"[(, /](?:(\d+(?:\.\d)?)([KMG]?)B->)?(\d+(?:\.\d)?)([KMG]?)B, (\d{1,3}\.\d\d)%\)"
)
_UNITS: Mapping[str, int] = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
#: Beginnings of lines that begin a phase, as every version since 2.45 has them.
_PHASES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), phase)
    for pattern, phase in (
        (r"execute .*backup start", "waits for a checkpoint"),
        (r"wait for replay on the standby", "waits for the replica"),
        # What comes next is the largest file, and nothing is said before it is done.
        (r"check archive for (prior )?segment ", "begins to copy files"),
        (r"(repo\d+: )?restore backup set", "begins to copy files"),
        (r"execute .*backup stop", "waits for its WAL in the archive"),
        (r"new backup label", "writes its list of files"),
        (r"expire command begin", "removes what has expired"),
        (r"remove invalid files", "compares with what is there"),
        (r"restore global/pg_control", "writes everything to disk"),
    )
)
_COPIES = "copies files"
#: What PostgreSQL's log says of a recovery that has come to its end.
_STOPS = ("recovery stopping ", "archive recovery complete", "selected new timeline ID")
_SEGMENT = re.compile(r'restored log file "([0-9A-F]{24})" from archive')


@dataclass(frozen=True, slots=True)
class Stage:
    """How far some work is.

    Attributes:
        phase: what it does now.
        done: bytes that are done.
        total: bytes that there are, 0 where nobody knows.
        detail: what else helps a person who waits.
    """

    phase: str
    done: int = 0
    total: int = 0
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


class Console:
    """Reads pgBackRest's console line by line.

    Attributes:
        stage: how far it is, None before the first line that tells.
    """

    def __init__(self) -> None:
        self.stage: Stage | None = None
        self._done = 0.0
        self._telling = False

    def take(self, line: str) -> bool:
        """Read a line; return whether it only tells how far things are.

        Args:
            line: as pgBackRest wrote it; others are words of an error, and are returned as such.
        """
        found = _LINE.match(line)
        if found is None:
            # The rest of what the line before it began.
            return self._telling and line.startswith(" ")
        self._telling = found["level"] in _TELLING
        if self._telling:
            self._tell(found["text"])
        return self._telling

    def _tell(self, text: str) -> None:
        if file := _FILE.search(text):
            size, unit, now, its_unit, percent = file.groups()
            self._done += float(size or now) * _UNITS[unit if size else its_unit]
            share = float(percent) / 100
            total = round(self._done / share) if share else 0
            self.stage = Stage(_COPIES, round(self._done), total)
            return
        for pattern, phase in _PHASES:
            if pattern.match(text):
                self.stage = Stage(phase)


def replay(lsn: str | None, commit: str | None, log: str) -> Stage:
    """Return how far a recovery is.

    Args:
        lsn: up to where the server has replayed, None while it takes no connection yet.
        commit: when the last transaction committed that it has replayed.
        log: the end of the server's log.
    """
    segments = _SEGMENT.findall(log)
    if any(words in log for words in _STOPS):
        return Stage("is promoted", detail=f"at {lsn}" if lsn else "")
    if lsn:
        return Stage("replays WAL", detail=f"at {lsn}" + (f", {commit}" if commit else ""))
    detail = f"segment {segments[-1]}" if segments else ""
    return Stage("replays WAL until the data files agree", detail=detail)
