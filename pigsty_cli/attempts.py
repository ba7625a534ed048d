"""Recoveries that are under way or were cut off, as this admin node remembers them.

The record is written before each step, so that whatever ends the command, even a power cut, leaves
behind which cluster is down and how to go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pigsty.backups import Target
from pigsty_cli.errors import Refused, unwritable

FOLDER = Path("/var/lib/pigsty/pitr")
#: In this order; before ``stop`` nothing was touched.
STEPS = ("pause", "stop", "restore", "recovery", "start", "replicas", "backup")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A recovery of one cluster.

    Attributes:
        cluster: its name.
        host: the machine whose data are brought back.
        kind: of the point (see :class:`pigsty.backups.Target`).
        value: of the point.
        exclusive: of the point.
        label: the backup that it begins with.
        timeline: the timeline that it follows, "" for the newest.
        step: the last one that began.
        since: when it began, as people read it.
        user: who began it.
    """

    cluster: str
    host: str
    kind: str
    value: str
    exclusive: bool
    label: str
    timeline: str
    step: str
    since: str
    user: str

    @property
    def target(self) -> Target:
        """Where to."""
        return Target(self.kind, self.value, self.exclusive)

    @property
    def touched(self) -> bool:
        """Whether anything was stopped."""
        return self.step != STEPS[0]

    @property
    def text(self) -> str:
        """What a person has to know of it."""
        return (
            f"a recovery of {self.cluster} to {self.target.text} on {self.host} (by {self.user}, "
            f"since {self.since}) is under way or was cut off at step `{self.step}`: "
            f"`pigsty pgsql pitr {self.cluster} --again` goes on"
        )


def write(attempt: Attempt) -> None:
    """Write a record down; the file is replaced at once, never half-written.

    Raises:
        Refused: it can't be written, so nothing is begun.
    """
    path = _path(attempt.cluster)
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        new.write_text(json.dumps(asdict(attempt), indent=1) + "\n", encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def read(cluster: str) -> Attempt | None:
    """Return the record of a cluster's recovery that hasn't come to its end, if any.

    Raises:
        Refused: there is one that can't be read.
    """
    path = _path(cluster)
    try:
        return Attempt(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise Refused(f"{path} can't be read: {error}") from error


def forget(cluster: str) -> None:
    """Remove the record of a recovery that has come to its end."""
    _path(cluster).unlink(missing_ok=True)


def refuse(clusters: Iterable[str]) -> None:
    """Refuse to work on clusters that a recovery has stopped.

    Raises:
        Refused: one of them is; the text says how to go on.
    """
    for cluster in clusters:
        found = read(cluster)
        if found is not None and found.touched:
            raise Refused(found.text)


def _path(cluster: str) -> Path:
    return FOLDER / f"{cluster}.json"
