"""The replacement of the deployment's CA, phase by phase, by what the machines hold.

The new CA is trusted everywhere before it signs, and the old one until nothing of it is in use:

``begin``    the next CA is made
``trust``    every node learns to trust it, beside the old one
``sign``     from now on it is the one that signs
``reissue``  every leaf is made anew under it
``drop``     nobody trusts the old one any longer
``settle``   a node that was cut off before still does

Nothing is remembered between two commands but the files of the CAs themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: What each phase is about, for people.
PHASES: Mapping[str, str] = {
    "begin": "make the next CA",
    "trust": "have every node trust the next CA beside this one",
    "sign": "sign with the next CA from now on",
    "reissue": "make the certificates of the old CA anew",
    "drop": "trust the old CA no longer",
    "settle": "finish an earlier replacement: trust the old CA no longer",
}
#: Phases that may follow each other in one run; the last one ends it.
ORDER = ("begin", "trust", "sign", "reissue", "drop")


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CAs on the admin node, as :func:`pigsty.pki.identity` names them; empty for none."""

    current: str
    old: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """What a node holds.

    Attributes:
        leaves: by path of the certificate, which CA it is of.
        trusted: by path of the bundle, which CAs are in it.
    """

    leaves: Mapping[str, str]
    trusted: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Phase:
    """What comes next, and the hosts that it still concerns."""

    name: str
    hosts: tuple[str, ...] = ()


def phase(files: Authorities, nodes: Mapping[str, Node]) -> Phase:
    """Return the phase that comes next.

    Args:
        files: the CAs on the admin node.
        nodes: what every node of the deployment holds; one that isn't known is left out.
    """
    if files.old and files.next:
        # The change from one to the other was cut off.
        return Phase("sign")
    if files.next:
        lacking = _hosts(nodes, lambda node: any(files.next not in c for c in _bundles(node)))
        return Phase("trust", lacking) if lacking else Phase("sign")
    if files.old:
        lacking = _hosts(nodes, lambda node: any(i != files.current for i in node.leaves.values()))
        return Phase("reissue", lacking) if lacking else Phase("drop")
    late = _hosts(nodes, lambda node: any(set(c) != {files.current} for c in _bundles(node)))
    return Phase("settle", late) if late else Phase("begin")


def steps(first: str) -> tuple[str, ...]:
    """Return the phases that a run goes through from the given one to its end."""
    return ("settle",) if first == "settle" else ORDER[ORDER.index(first) :]


def _bundles(node: Node) -> list[tuple[str, ...]]:
    return list(node.trusted.values())


def _hosts(nodes: Mapping[str, Node], test: Callable[[Node], bool]) -> tuple[str, ...]:
    return tuple(host for host, node in nodes.items() if test(node))
