"""What a decision is made from, and what it is: the same for everything that is reacted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pigsty.alerting import Firing
from pigsty.automatic import Automatic
from pigsty.clients.keys import Key
from pigsty.kept import Basis
from pigsty.plan import WHOLE, Plan
from pigsty.topology import Topology
from pigsty.views import ClusterView

#: The whole of a minion's states.
HIGHSTATE = (WHOLE,)


@dataclass(frozen=True, slots=True)
class Truth:
    """The world when a reaction begins.

    Attributes:
        topology: what the inventory declares, the last good one.
        views: the clusters as the store has them, by their name in the inventory.
        minions: ids of the minions that are connected now.
        deployed: whether the admin node was applied once: before that a person is at work.
        alerts: what fires now; read for hints about alerts only.
        change: what the inventory touches, compared with what hosts were applied with; None where
            nobody asked for it.
        trouble: why the inventory itself isn't used but the last good one, "" when it is.
        basis: what pillars are made of now; None while the inventory is being written.
        keys: the keys of minions that the master has.
    """

    topology: Topology
    views: Mapping[str, ClusterView]
    minions: frozenset[str]
    deployed: bool = True
    alerts: tuple[Firing, ...] = ()
    change: Plan | None = None
    trouble: str = ""
    basis: Basis | None = None
    keys: tuple[Key, ...] = ()

    @property
    def automatic(self) -> Automatic:
        """What the deployment does by itself."""
        return Automatic.of(self.topology.inventory)


@dataclass(frozen=True, slots=True)
class Step:
    """States to be run on some minions.

    Attributes:
        hosts: whose minions.
        sls: which states.
        audit: whether they are only to look.
    """

    hosts: tuple[str, ...]
    sls: tuple[str, ...]
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about something.

    Attributes:
        why: a sentence about what is true now, for example "pg-test-2 leads pg-test".
        stages: groups of steps, one after the other; none: nothing is to be done.
        fact: what is settled once it has been done.
        absent: minions that ought to follow and aren't connected; they catch up when they join.
        wait: whether the truth isn't ready for it yet, so that it has to be asked again.
        known: whether what is true had been dealt with already.
    """

    why: str
    stages: tuple[tuple[Step, ...], ...] = ()
    fact: str | None = None
    absent: tuple[str, ...] = ()
    wait: bool = False
    known: bool = False
