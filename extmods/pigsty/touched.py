"""Where two inventories differ by what they declare: the hosts, the clusters and the modules.

It is what the event about an edit tells, made without any pillar, so a thousand hosts take a
fraction of a second. Which states are to be run where is more than that: see :mod:`pigsty.plan`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pigsty import catalogue
from pigsty.events import MANY_NAMES
from pigsty.topology import Topology


@dataclass(frozen=True, slots=True)
class Touched:
    """Where two inventories differ.

    Attributes:
        hosts: addresses, in the order of the newer inventory, then those that are gone.
        clusters: names of PostgreSQL, etcd, MinIO and Redis clusters, sorted.
        modules: lower-case names, sorted.
    """

    hosts: tuple[str, ...]
    clusters: tuple[str, ...]
    modules: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as an event carries it: the first names of each list, and how many hosts."""
        return {
            "hosts": list(self.hosts[:MANY_NAMES]),
            "clusters": list(self.clusters[:MANY_NAMES]),
            "modules": list(self.modules),
            "count": len(self.hosts),
        }


def between(old: Topology, new: Topology) -> Touched:
    """Return where two inventories differ.

    A host is touched when it comes or goes, when a parameter of a module that it has is another
    one, and when a cluster of its gets or loses a member.
    """
    found: dict[str, set[str]] = {}
    for host in dict.fromkeys([*new.nodes, *old.nodes]):
        if modules := _of_host(old, new, host):
            found[host] = modules
    before, after = dict(_clusters(old)), dict(_clusters(new))
    for key in before.keys() | after.keys():
        if before.get(key) != after.get(key):
            for host in before.get(key, frozenset()) | after.get(key, frozenset()):
                found.setdefault(host, set()).add(key[0])
    clusters = {
        name
        for members in (before, after)
        for (module, name), hosts in members.items()
        if any(module in found.get(host, ()) for host in hosts)
    }
    order = dict.fromkeys([*new.nodes, *old.nodes])
    return Touched(
        hosts=tuple(host for host in order if host in found),
        clusters=tuple(sorted(clusters)),
        modules=tuple(sorted(set().union(*found.values()))),
    )


def _of_host(old: Topology, new: Topology, host: str) -> set[str]:
    """Return the modules of a host in which two inventories differ."""
    was, now = old.nodes.get(host), new.nodes.get(host)
    if was is None or now is None:
        return {module for node in (was, now) if node for module in node.modules}
    modules = set(was.modules) | set(now.modules)
    changed = set(was.modules) ^ set(now.modules)
    before, after = old.inventory.variables(host), new.inventory.variables(host)
    known = catalogue.load()
    for name in before.keys() | after.keys():
        first, second = before.get(name), after.get(name)
        if first is None or second is None or first.value != second.value:
            # What no module declares may stand in any template.
            changed |= {known[name].module.lower()} & modules if name in known else modules
    return changed


def _clusters(found: Topology) -> Iterator[tuple[tuple[str, str], frozenset[str]]]:
    """Yield each cluster by its module and name, with its members' addresses."""
    for name, cluster in found.pg_clusters.items():
        yield ("pgsql", name), frozenset(member.ip for member in cluster.members)
    for name in {member.cluster for member in found.etcd}:
        yield ("etcd", name), frozenset(m.ip for m in found.etcd if m.cluster == name)
    for module, clusters in (("minio", found.minio), ("redis", found.redis)):
        for name, members in clusters.items():
            yield (module, name), frozenset(member.ip for member in members)
