"""What an edit of the inventory touches, on this admin node."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from pigsty import applied, journal, targets
from pigsty.kept import Kept
from pigsty.plan import Plan
from pigsty.platform import of_grains
from pigsty.topology import Topology
from pigsty_cli import deployment, history
from pigsty_cli.errors import Refused
from pigsty_cli.inventories import PLACES, find

NOTHING = "nothing to do: every host was applied with what the inventory says"


def look(words: Sequence[str], *, told: bool = False) -> tuple[Topology, Plan]:
    """Compare the inventory with what hosts were last applied with.

    Args:
        words: the targets that a person named; none for all hosts.
        told: whether differences are told too, with secrets masked.

    Returns:
        What the inventory declares, and what it touches.

    Raises:
        TargetError: a target means nothing.
        Refused: the inventory has errors or is being written, or this is no admin node.
    """
    # The file that the ext_pillar reads: of another one nothing would come of it.
    topology = deployment.usable(find(PLACES[0])).topology
    hosts = targets.resolve(topology, words)
    basis = history.basis(topology)
    if basis is None:
        raise Refused(
            f"{PLACES[0]} is being written just now, or this machine is no admin node: try again"
        )
    with closing(journal.Journal()) as record:
        return topology, applied.look(record, Kept(), basis, of_grains({}), hosts, told=told)
