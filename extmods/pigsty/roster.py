"""Machines beside their keys: who belongs to the deployment, who knocks, who is no part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pigsty.clients.keys import Key
from pigsty.topology import Topology


@dataclass(frozen=True, slots=True)
class MachineRow:
    """A machine, or somebody who calls itself one.

    Attributes:
        host: address, or what the minion calls itself.
        name: the node's name, "" for who is not in the inventory.
        modules: what it shall have.
        minion: ``up``, ``down``, ``no answer`` or ``no key``, ``?`` where nobody was asked.
        key: states of the keys that were shown under this id, for example ``accepted, denied``.
        applied: whether it was applied once, as a whole.
        note: what is wrong, and what to type.
    """

    host: str
    name: str
    modules: tuple[str, ...]
    minion: str
    key: str
    applied: bool
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "modules": list(self.modules)}


def machines(
    topology: Topology, minions: Mapping[str, str], keys: Iterable[Key], applied: Iterable[str]
) -> list[MachineRow]:
    """Return a row for each host of the inventory, then one for each other id that has a key.

    Args:
        topology: the inventory.
        minions: how each minion is.
        keys: those that the master has.
        applied: hosts that were applied once.
    """
    states: dict[str, list[str]] = {}
    for key in keys:
        states.setdefault(key.id, []).append(key.state)
    known = frozenset(applied)
    rows = []
    for host, node in topology.nodes.items():
        own, there = states.get(host, []), minions.get(host, "?")
        rows.append(
            MachineRow(
                host,
                node.name,
                node.modules,
                there,
                ", ".join(own) or "none",
                host in known,
                _note(host, own, there, applied=host in known),
            )
        )
    for id in sorted(states.keys() - topology.nodes.keys()):
        own = states[id]
        note = "not in the inventory: " + (
            f"pigsty node rm {id}" if "accepted" in own else f"pigsty node forget {id}"
        )
        rows.append(MachineRow(id, "", (), "?", ", ".join(own), id in known, note))
    return rows


def refused(keys: Iterable[Key]) -> list[Key]:
    """Return the keys that the master did not take."""
    return [key for key in keys if key.state != "accepted"]


def _note(host: str, states: list[str], minion: str, *, applied: bool) -> str:
    if "accepted" in states and len(states) > 1:
        return f"somebody else shows another key: pigsty node show {host}"
    if "accepted" not in states:
        return f"pigsty node add {host}"
    if minion == "up" and not applied:
        return "joins, or failed to: pigsty events " + host
    return ""
