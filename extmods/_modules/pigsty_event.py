"""What reactors do with an event before it becomes text: it is made small and plain."""

from __future__ import annotations

from typing import Any

from pigsty import events

__virtualname__ = "pigsty_event"


def __virtual__() -> str:
    """Load everywhere; the master's reactor is who calls it."""
    return __virtualname__


def trim(tag: str, data: Any) -> dict[str, Any]:
    """Return an event's tag, data and stamp as arguments of the runner ``pigsty_react.hint``.

    Args:
        tag: the event's tag.
        data: its data; nothing in it is trusted.

    CLI Example: called by ``reactors/*.sls``.
    """
    return events.trim(tag, data)
