"""What the admin node knows of its minions and of reactions, as metrics that Prometheus reads.

The admin node's node_exporter publishes them from one file (:data:`FILE`). They tell of other
machines, so they carry those machines' labels, and only one job of Prometheus, which looks at the
admin node alone, takes such labels as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pigsty.clients.keys import State
from pigsty.drift import Reading
from pigsty.render.files import BANNER
from pigsty.tally import Tally
from pigsty.topology import Node, Topology

#: The file's name in the folder of node_exporter's text files.
FILE = "pigsty_salt.prom"
#: How each host's last apply ended, as `pigsty apply` writes it down.
APPLIES_FILE = Path("/var/lib/pigsty/applies.json")
#: Seconds between two versions of the file: a scrape each.
INTERVAL = 10.0
#: Outcomes of an apply that leave the machine other than the inventory wants it.
_BAD = ("failed", "lost")

DRIFT = "pigsty_drift_states"
#: Every metric of the file, and its meaning. All are gauges but those that end in ``_total``.
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "pigsty_minion_accepted": "Whether the master has accepted the host's key",
        "pigsty_minion_impostor": "Whether somebody else showed another key under the host's name",
        "pigsty_minion_connected": "Whether the host's minion is connected to the master",
        "pigsty_keys_unknown": "Keys that wait or were denied, of hosts that have no accepted one",
        "pigsty_converge_time_seconds": "When the host was last applied, seconds since 1970",
        "pigsty_converge_failed": "States that failed in the host's last apply; 1 for a lost run",
        "pigsty_converge_changed": "States that changed something in the host's last apply",
        DRIFT: "States that would change something, as the last look for drift found",
        "pigsty_drift_time_seconds": "When drift was last looked for, seconds since 1970",
        "pigsty_reactions_open": "Reactions that wait or run",
        "pigsty_reaction_overdue_seconds": "How long the reaction that waits longest has been due",
        "pigsty_reactions_ended": "Reactions of the last hour, by how they ended",
        "pigsty_reaction_longest_seconds": "The longest reaction of the last hour, from its hint",
        "pigsty_reaction_average_seconds": "The average of the reactions of the last hour",
        "pigsty_hints_refused": "Events of the last hour that were refused",
        "pigsty_engine_alive_seconds": "When a part of the events last worked, seconds since 1970",
        "pigsty_journal_behind_seconds": "For how long the journal's copy in PostgreSQL has failed",
        "pigsty_bus_dropped_total": "Times that the master's log tells of dropped events",
    }
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the admin node knows now.

    Attributes:
        topology: the deployment.
        keys: ids of the minions whose keys the master has, by what it did about them.
        connected: ids of those that are connected.
        applies: the contents of :data:`APPLIES_FILE`.
        drift: what the last look at each host has found, by address.
        tally: the journal's.
        alive: when each part of the events last worked, seconds since 1970.
        dropped: how often the master's log told of dropped events.
        behind: for how long the journal's copy in PostgreSQL has failed, in seconds.
    """

    topology: Topology
    keys: Mapping[State, frozenset[str]] = field(default_factory=dict)
    connected: frozenset[str] = frozenset()
    applies: Mapping[str, Any] = field(default_factory=dict)
    drift: Mapping[str, Reading] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    alive: Mapping[str, float] = field(default_factory=dict)
    dropped: int = 0
    behind: float = 0.0

    @property
    def accepted(self) -> frozenset[str]:
        """Ids of the minions that are trusted."""
        return self.keys.get("accepted", frozenset())

    @property
    def knocking(self) -> frozenset[str]:
        """Ids under which a key was shown that nobody has dealt with; to reject one is to do so."""
        return self.keys.get("pending", frozenset()) | self.keys.get("denied", frozenset())


def text(snapshot: Snapshot) -> str:
    """Return the file: of a metric without samples, nothing stands in it."""
    samples: dict[str, list[str]] = {}
    for name, labels, value in _samples(snapshot):
        pairs = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels.items())
        own = f"{{{pairs}}}" if pairs else ""
        samples.setdefault(name, []).append(f"{name}{own} {_number(value)}")
    lines = [BANNER]
    for name, meaning in NAMES.items():
        if name in samples:
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *samples[name]]
    return "\n".join(lines) + "\n"


Sample = tuple[str, Mapping[str, str], float]


def _samples(snapshot: Snapshot) -> Iterator[Sample]:
    for node in snapshot.topology.nodes.values():
        yield from _minion(snapshot, node)
    known = snapshot.topology.nodes
    strange = snapshot.knocking - snapshot.accepted
    # What a stranger calls itself is no label: it may call itself anything, as often as it likes.
    by_place = Counter("inventory" if id in known else "elsewhere" for id in strange)
    for place in ("inventory", "elsewhere"):
        yield "pigsty_keys_unknown", {"host": place}, by_place[place]
    tally = snapshot.tally
    for state in ("queued", "running"):
        yield "pigsty_reactions_open", {"state": state}, tally.open.get(state, 0)
    yield "pigsty_reaction_overdue_seconds", {}, tally.overdue
    for (kind, state), ended in sorted(tally.ended.items()):
        labels = {"kind": kind, "result": state}
        yield "pigsty_reactions_ended", labels, ended.count
        yield "pigsty_reaction_longest_seconds", labels, ended.longest
        yield "pigsty_reaction_average_seconds", labels, ended.average
    yield "pigsty_hints_refused", {}, tally.refused
    for engine, when in sorted(snapshot.alive.items()):
        yield "pigsty_engine_alive_seconds", {"engine": engine}, when
    yield "pigsty_journal_behind_seconds", {}, snapshot.behind
    yield "pigsty_bus_dropped_total", {}, snapshot.dropped


def _minion(snapshot: Snapshot, node: Node) -> Iterable[Sample]:
    labels = {"cls": node.cluster, "ins": node.name or node.ip, "ip": node.ip}
    yield "pigsty_minion_accepted", labels, node.ip in snapshot.accepted
    impostor = node.ip in snapshot.accepted & snapshot.knocking
    yield "pigsty_minion_impostor", labels, impostor
    yield "pigsty_minion_connected", labels, node.ip in snapshot.connected
    applied = snapshot.applies.get(node.ip)
    if isinstance(applied, Mapping) and (when := _moment(applied)) is not None:
        # A host that wasn't reached is one that is down: other alerts tell of it.
        bad = max(_count(applied, "failed"), int(applied.get("status") in _BAD))
        yield "pigsty_converge_time_seconds", labels, when
        yield "pigsty_converge_failed", labels, bad
        yield "pigsty_converge_changed", labels, _count(applied, "changed")
    if drift := snapshot.drift.get(node.ip):
        yield DRIFT, labels, len(drift.states)
        yield "pigsty_drift_time_seconds", labels, drift.at


def _moment(record: Mapping[str, Any]) -> float | None:
    """Return when a record was made; None where it doesn't say so."""
    try:
        return datetime.fromisoformat(str(record.get("time"))).timestamp()
    except ValueError:
        return None


def _count(record: Mapping[str, Any], name: str) -> int:
    value = record.get(name)
    return value if isinstance(value, int) else 0


def _number(value: float) -> str:
    """Return a number with the digits of a time: a whole one without a point."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
