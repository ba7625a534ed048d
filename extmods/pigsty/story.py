"""The journal as a person reads it: one line for each thing that happened, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pigsty.events import Hint
from pigsty.journal import Entry


@dataclass(frozen=True, slots=True)
class Line:
    """One reaction, or one hint that was refused.

    Attributes:
        id: ``r`` and the reaction's number, or ``e`` and that of a refused hint.
        at: when the first hint came, seconds since 1970.
        kind: what it is about, for example ``pgsql.leader``.
        subject: whom it is about.
        happened: what the last hint said, as a sentence.
        hints: how many hints there were.
        state: ``queued``, ``running``, ``done``, ``failed``, or ``refused``.
        outcome: what came of it, as a sentence.
        seconds: from the first hint to the end; None while it goes on.
        detail: what was changed where, what failed, who is to follow.
    """

    id: str
    at: float
    kind: str
    subject: str
    happened: str
    hints: int
    state: str
    outcome: str
    seconds: float | None
    detail: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "detail": dict(self.detail),
        }


def lines(entries: Iterable[Entry]) -> list[Line]:
    """Return the lines of entries, in the order of their first hints."""
    found: dict[str, Line] = {}
    for entry in entries:
        reaction = entry.reaction
        if reaction is None:
            line = _refused(entry)
        else:
            key = f"r{reaction.id}"
            line = Line(
                id=key,
                at=found[key].at if key in found else entry.at,
                kind=reaction.kind,
                subject=reaction.subject,
                happened=sentence(entry.hint),
                hints=reaction.hints,
                state=reaction.state,
                outcome=reaction.outcome,
                seconds=None
                if reaction.ended is None
                else round(reaction.ended - reaction.queued, 2),
                detail=reaction.detail,
            )
        found[line.id] = line
    return list(found.values())


def _refused(entry: Entry) -> Line:
    hint = entry.hint
    return Line(
        id=f"e{entry.id}",
        at=entry.at,
        kind=hint.kind,
        subject=hint.subject,
        happened=sentence(hint),
        hints=1,
        state="refused",
        outcome=entry.refused,
        seconds=None,
        detail=MappingProxyType({"sender": hint.sender}),
    )


def sentence(hint: Hint) -> str:
    """Return what a hint says; it may lie."""
    return _SENTENCES.get(hint.kind, _unknown)(hint)


#: So many names are shown of what an edit touches.
_FEW = 3
_EDITED = "the inventory was edited"


def _leader(hint: Hint) -> str:
    if hint.sender == "reconcile":
        return "nobody had dealt with its leader"
    previous = hint.data.get("previous")
    was = f", after {previous}" if previous else ""
    return f"{hint.data.get('leader', 'somebody')} leads{was}"


def _member(hint: Hint) -> str:
    if hint.sender == "reconcile":
        return "nobody had dealt with its members"
    name, change = hint.data.get("member", "a member"), hint.data.get("change")
    verbs = {"join": "came", "leave": "left", "state": f"is {hint.data.get('state')}"}
    return f"{name} {verbs.get(str(change), 'changed')}"


def _drift(hint: Hint) -> str:
    whose = {"schedule": "its turn has come", "person": "somebody asked"}
    return f"{whose.get(hint.sender, 'an event asked')} to look at {hint.subject}"


def _inventory(hint: Hint) -> str:
    if hint.sender == "reconcile":
        return "hosts were applied with another inventory"
    names = hint.data.get("clusters") or hint.data.get("hosts") or []
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f"the inventory was edited: {', '.join(names[:_FEW])}{more}" if names else _EDITED


def _unknown(hint: Hint) -> str:
    return f"an event from {hint.sender}"


_SENTENCES: Mapping[str, Callable[[Hint], str]] = MappingProxyType(
    {
        "pgsql.leader": _leader,
        "pgsql.member": _member,
        "node.join": lambda hint: f"{hint.subject} connected",
        "node.key": lambda hint: f"{hint.subject} showed a key: {hint.data.get('act', '?')}",
        "node.leave": lambda hint: f"{hint.subject} left",
        "inventory.changed": _inventory,
        "inventory.bad": lambda _hint: "the inventory was edited, and has errors",
        "inventory.pull": lambda _hint: "the inventory's turn to be pulled from git",
        "alert.firing": lambda hint: f"alert {hint.subject} fires",
        "alert.resolved": lambda hint: f"alert {hint.subject} is over",
        "drift": _drift,
    }
)
