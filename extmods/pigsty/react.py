"""Decide what follows from a hint, by the truth alone.

A hint names a subject; everything else is read anew (:class:`~pigsty.reactions.truth.Truth`) when
its reaction begins. What the last reaction settled is remembered as a *fact*, for example who led.
Where the fact is the same now, nothing follows: that makes forged, duplicate, late and reordered
hints harmless. What is decided for each kind stands in ``reactions/``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pigsty.reactions import alerts, clusters, edits, nodes
from pigsty.reactions.truth import Decision, Truth


def decide(kind: str, subject: str, truth: Truth, settled: str | None) -> Decision:
    """Return what follows now.

    Args:
        kind: what a hint was about, one of :data:`KINDS`.
        subject: whom it was about.
        truth: the world, read after the hint came.
        settled: the fact that was dealt with last, None for none.
    """
    return _DECIDERS[kind](subject, truth, settled)


_DECIDERS: Mapping[str, Callable[[str, Truth, str | None], Decision]] = MappingProxyType(
    {
        "alert.firing": alerts.alert,
        "alert.resolved": alerts.alert,
        "drift": nodes.drifted,
        "inventory.bad": edits.bad,
        "inventory.changed": edits.changed,
        "inventory.pull": edits.pulled,
        "node.join": nodes.joined,
        "node.key": nodes.key,
        "node.leave": nodes.left,
        "pgsql.leader": clusters.leader,
        "pgsql.member": clusters.members,
    }
)
#: What is reacted to.
KINDS = frozenset(_DECIDERS)
