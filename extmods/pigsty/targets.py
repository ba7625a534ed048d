"""What a person names on the command line, resolved to hosts and to the states that run there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

from pigsty.errors import PigstyError
from pigsty.topology import Node, Topology

#: Module to the states that make it, in the order in which they run. ``states/top.sls`` has the
#: same order for a whole run; a test compares them.
STATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "node": ("node", "node.monitor"),
        "infra": ("infra.repo", "infra"),
        "etcd": ("etcd",),
        "pgsql": ("pgsql",),
    }
)
#: Order of a run: the repository first, because every package comes from it.
ORDER = ("infra.repo", "node", "infra", "etcd", "pgsql", "node.monitor")

_GLOB = frozenset("*?[")
#: So many names are simply listed when none is near.
_FEW = 12


class TargetError(PigstyError):
    """A target or module that the inventory doesn't have. Its text names the nearest ones."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to run on some hosts.

    Attributes:
        hosts: minion ids, in the order of the inventory.
        states: names of the SLS files; empty for everything that the hosts have (a highstate).
    """

    hosts: tuple[str, ...]
    states: tuple[str, ...]


def resolve(topology: Topology, words: Sequence[str]) -> tuple[str, ...]:
    """Return the hosts that some words mean.

    A word is a host's address, the name of a node or of an instance (``pg-test-1``, ``etcd-1``), a
    cluster, a group, or a pattern of these with ``*`` or ``?``. A name with several meanings means
    all of them together.

    Args:
        topology: the deployment.
        words: what was named; none means every host.

    Returns:
        Host keys, each once, in the order of the inventory.

    Raises:
        TargetError: a word means nothing; all such words are named at once.
    """
    if not words or "*" in words:
        return tuple(topology.nodes)
    chosen: set[str] = set()
    unknown: list[str] = []
    names: dict[str, set[str]] | None = None
    for word in words:
        if word in topology.nodes:
            chosen.add(word)
            continue
        # Made on demand: it looks at every host, and an address needs none of it.
        names = _names(topology) if names is None else names
        found = _matching(names, word)
        chosen |= found
        if not found:
            unknown.append(word)
    if unknown:
        known = names or {}
        raise TargetError("; ".join(nearest(word, known, "target") for word in unknown))
    return tuple(host for host in topology.nodes if host in chosen)


def modules(words: Iterable[str]) -> tuple[str, ...]:
    """Return module names as states know them; none means all.

    A word may hold several, apart by commas, in any case.

    Raises:
        TargetError: there is no such module (or it isn't built yet).
    """
    wanted = [name for word in words for name in word.lower().replace(",", " ").split()]
    unknown = [name for name in wanted if name not in STATES]
    if unknown:
        raise TargetError("; ".join(nearest(name, STATES, "module") for name in unknown))
    return tuple(name for name in STATES if name in wanted)


def states(node: Node, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the SLS files that some modules mean on one node, in order."""
    own = {sls for module in wanted if module in node.modules for sls in STATES[module]}
    return tuple(sls for sls in ORDER if sls in own)


def jobs(topology: Topology, hosts: Sequence[str], wanted: Sequence[str]) -> tuple[Job, ...]:
    """Divide a run into jobs: hosts that run the same states share one.

    Args:
        topology: the deployment.
        hosts: from :func:`resolve`.
        wanted: from :func:`modules`; none means everything that each host has.

    Returns:
        The jobs, which may run at the same time. Hosts that have none of the modules are in none.
    """
    if not wanted:
        return (Job(tuple(hosts), ()),) if hosts else ()
    groups: dict[tuple[str, ...], list[str]] = {}
    for host in hosts:
        if names := states(topology.nodes[host], wanted):
            groups.setdefault(names, []).append(host)
    return tuple(Job(tuple(members), names) for names, members in groups.items())


def touched(node: Node, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the modules of a node that a run touches (all that are built when none is named)."""
    return tuple(name for name in STATES if name in node.modules and (not wanted or name in wanted))


def nearest(word: str, known: Iterable[str], kind: str) -> str:
    """Return the text of an error about an unknown name, with the known ones that are near."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {', '.join(near)}?"
    elif len(names) <= _FEW:
        hint = f"there are: {', '.join(names)}"
    else:
        hint = "`pigsty status` shows what there is"
    return f"unknown {kind} {word!r}: {hint}"


def _names(topology: Topology) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for name, host in _named_hosts(topology):
        if name:
            names.setdefault(name, set()).add(host)
    return names


def _named_hosts(topology: Topology) -> Iterator[tuple[str, str]]:
    for host, node in topology.nodes.items():
        yield from ((host, host), (node.name, host), (node.cluster, host))
    for cluster in topology.pg_clusters.values():
        for member in cluster.members:
            yield from ((cluster.name, member.ip), (member.name, member.ip))
    for etcd in topology.etcd:
        yield from ((etcd.cluster, etcd.ip), (etcd.name, etcd.ip))
    for infra in topology.infra:
        yield (infra.name, infra.ip)
    for group, hosts in topology.groups.items():
        yield from ((group, host) for host in hosts if host in topology.nodes)


def _matching(names: Mapping[str, set[str]], word: str) -> set[str]:
    if word in names:
        return names[word]
    if not _GLOB & set(word):
        return set()
    return {host for name, hosts in names.items() if fnmatchcase(name, word) for host in hosts}
