"""The passwords of a deployment: where each comes from, who has it, and how it is rotated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pigsty import rotation, sharding
from pigsty.catalogue import load
from pigsty.mask import RecordingSite
from pigsty.pillar import compile_pillar
from pigsty.pillar.site import Site
from pigsty.platform import of_grains
from pigsty.targets import TargetError, nearest
from pigsty.topology import Topology
from pigsty_cli import rotating
from pigsty_cli.errors import Refused
from pigsty_cli.rotating import Hands


@dataclass(frozen=True, slots=True)
class Derived:
    """A password that is derived from the deployment's key.

    Attributes:
        name: the parameter that would declare it.
        scope: whose it is: a cluster, or ``all``.
        hosts: who has it in the pillar.
        generation: how often it was rotated, and one.
    """

    name: str
    scope: str
    hosts: tuple[str, ...]
    generation: int

    def to_dict(self, more: int = 0) -> dict[str, Any]:
        """Return it as plain data; ``more`` generations have been made since."""
        return {
            "name": self.name,
            "scope": self.scope,
            "source": "derived",
            "generation": self.generation + more,
            "nodes": len(self.hosts),
            "note": rotation.fixed(self.name),
        }


def derived(topology: Topology, own: Site) -> list[Derived]:
    """Return every password that is derived, by what the pillars ask for."""
    holders: dict[tuple[str, str], list[str]] = {}
    for host in topology.nodes:
        site = RecordingSite(own.key, own.ca, rotation=own.rotation)
        compile_pillar(topology, host, site, of_grains({}))
        for scope, name in site.asked:
            holders.setdefault((name, scope), []).append(host)
    return [
        Derived(name, scope, tuple(hosts), own.rotation.generation(scope, name))
        for (name, scope), hosts in sorted(holders.items())
    ]


def declared(topology: Topology) -> dict[str, list[str]]:
    """Return where the inventory declares passwords: path and line of each, by parameter."""
    names = {parameter.name for parameter in load().parameters if parameter.secret}
    found: dict[str, dict[str, None]] = {}
    for node in topology.nodes.values():
        for name in sorted(names & node.declared):
            variable = node.vars.raw[name]
            if variable.value:
                found.setdefault(name, {})[f"line {variable.line}: {variable.path}"] = None
    return {name: list(places) for name, places in sorted(found.items())}


def rows(topology: Topology, own: Site) -> list[dict[str, Any]]:
    """Return a row for every password, derived ones first; no value."""
    table = [entry.to_dict() for entry in derived(topology, own)]
    for name, places in declared(topology).items():
        for place in places:
            table.append(
                {
                    "name": name,
                    "scope": "",
                    "source": f"{topology.inventory.file}, {place}",
                    "generation": None,
                    "nodes": None,
                    "note": "",
                }
            )
    return table


def choose(
    topology: Topology, own: Site, names: Sequence[str], clusters: Sequence[str]
) -> list[Derived]:
    """Return the passwords that are meant.

    Args:
        topology: the deployment.
        own: its key.
        names: parameters; none means every one that can be rotated.
        clusters: clusters; none means every one.

    Raises:
        TargetError: there is no such cluster or password.
        Refused: it is declared in the inventory, or can't be rotated.
    """
    for cluster in clusters:
        if cluster not in topology.pg_clusters:
            raise TargetError(nearest(cluster, topology.pg_clusters, "cluster"))
    scopes = {sharding.scope(topology.pg_clusters[cluster]) for cluster in clusters} | {*clusters}
    known = [entry for entry in derived(topology, own) if not clusters or entry.scope in scopes]
    if not names:
        found = [entry for entry in known if not rotation.fixed(entry.name)]
        if not found:
            raise Refused("no password here is derived: all are declared in the inventory")
        return found
    places = declared(topology)
    for name in names:
        if any(entry.name == name for entry in known):
            if why := rotation.fixed(name):
                raise Refused(f"{name} can't be rotated: {why}")
        elif name in places:
            where = "; ".join(places[name])
            raise Refused(
                f"{name} is declared in {topology.inventory.file} ({where}): change it there and "
                "`pigsty apply`, or remove it there to have one derived"
            )
        else:
            candidates = {*places, *(entry.name for entry in known)}
            raise TargetError(nearest(name, sorted(candidates), "password"))
    return [entry for entry in known if entry.name in names]


def rounds(chosen: Iterable[Derived]) -> list[list[Derived]]:
    """Return what is rotated together: Patroni's way into etcd alone, and last.

    While members have different passwords of their REST API, Patroni's failsafe mode doesn't work:
    nothing is done to etcd at that time.
    """
    entries = list(chosen)
    first = [entry for entry in entries if entry.name not in rotation.PATRONI_FIRST]
    last = [entry for entry in entries if entry.name in rotation.PATRONI_FIRST]
    return [one for one in (first, last) if one]


def carry_out(hands: Hands, entries: Sequence[Derived]) -> None:
    """Give passwords another value, and wait until it is in force."""
    own = rotating.site()
    rotating.note(own.rotation.next_passwords((entry.scope, entry.name) for entry in entries))
    names = {entry.name for entry in entries}
    clusters = hands.topology.pg_clusters.values()
    members = {member.ip for cluster in clusters for member in cluster.members}
    if names <= rotation.PATRONI_FIRST:
        scopes = {entry.scope for entry in entries}
        own_members = tuple(
            member.ip
            for cluster in clusters
            if sharding.scope(cluster) in scopes
            for member in cluster.members
        )
        hands.apply(own_members, ("pgsql",))
        hands.ask(own_members, "pigsty_patroni.await_reload", "patroni.reloads")
        hands.apply(tuple(etcd.ip for etcd in hands.topology.etcd), ("etcd",))
        hands.ask(own_members, "pigsty_patroni.await_reload", "patroni.reloads", again=True)
        return
    known = [rotation.MODULES.get(name, ()) for name in names]
    modules = tuple(sorted({module for some in known for module in some})) if all(known) else ()
    hosts = tuple(
        host for host in hands.topology.nodes if any(host in entry.hosts for entry in entries)
    )
    hands.apply(hosts, modules)
    if not modules or "pgsql" in modules:
        reloaded = tuple(host for host in hosts if host in members)
        hands.ask(reloaded, "pigsty_patroni.await_reload", "patroni.reloads")
