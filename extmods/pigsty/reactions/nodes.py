"""What follows when a machine comes, goes, shows a key, or is to be looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pigsty import joining
from pigsty.clients.keys import Key
from pigsty.reactions import edits
from pigsty.reactions.table import follow
from pigsty.reactions.truth import HIGHSTATE, Decision, Step, Truth


def joined(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Apply a machine that has connected: as a whole, or what it missed while it was away."""
    node = truth.topology.nodes.get(subject)
    if node is None:
        return Decision(f"the inventory has no host {subject}")
    if not truth.deployed:
        return Decision("the deployment was never applied: `pigsty apply` begins with all nodes")
    if subject not in truth.minions:
        return Decision(f"{subject} is not connected", wait=True)
    member = truth.topology.pg_instances.get(subject)
    checksum = truth.topology.inventory.checksum
    if settled is not None:
        why = f"{node.name or subject} is back"
        back = follow("node.back", truth, why, settled, node=(subject,) if member else ())
        if truth.change is None or not truth.automatic.apply or truth.change.gone:
            return back
        # It catches up with what was edited while it was away.
        return replace(back, stages=(*back.stages, *edits.stages(truth.change, truth.minions)))
    why = f"{node.name or subject} has joined"
    whom = joining.concerned(truth.topology, subject)
    return follow("node.join", truth, why, checksum, node=(subject,), **whom)


def left(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Have the others forget a machine that was taken out of the inventory, and lost its key."""
    if subject in truth.topology.nodes:
        return Decision(f"{subject} stands in the inventory: nobody forgets it")
    if any(key.id == subject and key.state == "accepted" for key in truth.keys):
        return Decision(f"the key of {subject} is accepted: `pigsty node rm {subject}` ends that")
    checksum = truth.topology.inventory.checksum
    why = f"{subject} is no part of the deployment any more"
    if settled == checksum:
        return Decision(f"{why}, which was dealt with already", known=True)
    if not truth.deployed:
        return Decision(why)
    return follow("node.leave", truth, why, checksum, others=tuple(truth.topology.nodes))


def key(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Say what is wrong with a key that the master did not take; nothing is done about it."""
    fact = refused_keys(truth.keys, subject)
    if not fact:
        return Decision(f"no key of {subject} waits or was refused", fact=fact)
    own = [k for k in truth.keys if k.id == subject and k.state == "accepted"]
    shown = next(k for k in truth.keys if k.id == subject and k.state != "accepted")
    what = f"key {shown.fingerprint[:23]}…"
    if own:
        why = (
            f"somebody calls itself {subject} and shows another key ({what}): refused. The machine "
            f"whose key is known ({own[0].fingerprint[:23]}…) goes on"
        )
    elif subject in truth.topology.nodes:
        why = (
            f"{subject} showed a key that nobody has brought there ({what}): {shown.state}. "
            f"`pigsty node add {subject}` makes it a node"
        )
    else:
        why = f"the inventory has no host {subject}, which showed a {what}: {shown.state}"
    return Decision(why, fact=fact)


def refused_keys(keys: Iterable[Key], subject: str) -> str:
    """Return the keys of an id that the master did not take, as one fact; "" for none."""
    found = (key for key in keys if key.id == subject and key.state != "accepted")
    return " ".join(f"{key.state}:{key.fingerprint}" for key in found)


def drifted(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Have a machine looked at, if it is there and was applied."""
    node = truth.topology.nodes.get(subject)
    if node is None:
        return Decision(f"the inventory has no host {subject}")
    if not truth.deployed:
        return Decision("the deployment was never applied: nothing can have drifted")
    if subject not in truth.minions:
        return Decision(f"{subject} is not connected, so it wasn't looked at")
    step = Step((subject,), HIGHSTATE, audit=True)
    return Decision(node.name or subject, stages=((step,),))
