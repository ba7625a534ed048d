"""What dpkg's own records say about packages that were left half installed."""

from __future__ import annotations

import re
from collections.abc import Iterable

STATUS = "/var/lib/dpkg/status"
#: Steps of a run that was cut off; as long as there are any, apt refuses to work.
UPDATES = "/var/lib/dpkg/updates"
_HALF = re.compile(
    r"^Package: (\S+)\nStatus: (?:install|hold) \S+"
    r" (half-installed|unpacked|half-configured|triggers-awaited|triggers-pending)$",
    re.MULTILINE,
)
_STEP = re.compile(r"\d+")


def half(status: str, updates: Iterable[str] = ()) -> dict[str, str]:
    """Return packages in a half-way state, by name; a journal of dpkg counts as one.

    Args:
        status: text of dpkg's status file.
        updates: names of the files in dpkg's folder of updates.
    """
    found = dict(_HALF.findall(status))
    if any(_STEP.fullmatch(name) for name in updates):
        found["(journal of dpkg)"] = "interrupted"
    return dict(sorted(found.items()))
