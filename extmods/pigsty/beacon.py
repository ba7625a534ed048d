"""What a member tells of itself: that it leads now, or that its state is another one.

The master learns of changes from the store; this is the way that is left when its watch is lost. A
member speaks of itself alone, and what it says is a hint like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pigsty import events
from pigsty.clients.patroni import Status

#: The state of a member whose Patroni doesn't answer.
SILENT = "silent"
#: Fewest seconds between two looks: each is one request to Patroni on the same machine.
SHORTEST = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """A member at one look.

    Attributes:
        leads: whether it leads its cluster.
        state: of its PostgreSQL, or :data:`SILENT`.
        timeline: of its WAL, None if unknown.
    """

    leads: bool
    state: str
    timeline: int | None = None

    @classmethod
    def of(cls, status: Status | None) -> Seen:
        """Return what Patroni says; None: it doesn't answer."""
        if status is None:
            return cls(False, SILENT)
        return cls(status.leader, status.state, status.timeline)


def told(cluster: str, member: str, before: Seen | None, now: Seen) -> list[tuple[str, Any]]:
    """Return the events that follow from two looks, as tags and data.

    Args:
        cluster: the member's.
        member: its name.
        before: what was seen last; None: nothing yet, and then there is nothing to tell.
        now: what is seen now.
    """
    if before is None or before == now:
        return []
    found: list[tuple[str, Any]] = []
    if now.leads and not before.leads:
        data: dict[str, Any] = {"cluster": cluster, "leader": member}
        if now.timeline is not None:
            data["timeline"] = now.timeline
        found.append((events.tag("pgsql.leader", cluster=cluster), data))
    if now.state != before.state:
        data = {"cluster": cluster, "member": member, "change": "state", "state": now.state}
        found.append((events.tag("pgsql.member", cluster=cluster), data))
    return found


def problem(config: Any) -> str:
    """Return what is wrong with the beacon's configuration, "" for nothing."""
    if not isinstance(config, list):
        return "expected a list of settings, for example `- interval: 5`"
    for entry in config:
        if not isinstance(entry, Mapping):
            return f"{entry!r} is no setting"
        interval = entry.get("interval", SHORTEST)
        if type(interval) is not int or interval < SHORTEST:
            return f"interval {interval!r}: {SHORTEST} seconds or more"
    return ""
