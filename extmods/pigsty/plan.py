"""Two pillars of a host to the states that the difference touches, and what they look like.

Which states read which part of the pillar is a table (:data:`READERS`). What the table doesn't name
is read by the states of its module; what belongs to no module, by all of them: so nothing is ever
missed, at worst too much is run, which changes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from pigsty import targets
from pigsty.kept import Basis
from pigsty.mask import MASK
from pigsty.pillar import compile_pillar
from pigsty.platform import Platform
from pigsty.targets import Job

#: Everything that a host has.
WHOLE = "highstate"
Path = tuple[str, ...]

#: The states that read a part of the pillar, where those aren't all of its module. The longest path
#: that fits counts. None of these states includes another one of its module that would be needed.
READERS: Mapping[Path, tuple[str, ...]] = MappingProxyType(
    {
        # Another text of the same inventory: no state reads it.
        ("meta", "checksum"): (),
        # A module that comes has a part of its own; of one that goes, see :func:`_lost`.
        ("meta", "modules"): (),
        # Every node publishes when its certificates end.
        ("meta", "certs", "etcd"): ("etcd", "node.monitor"),
        ("meta", "certs", "infra"): ("infra.repo", "infra", "node.monitor"),
        ("meta", "certs", "node"): ("node.monitor",),
        ("meta", "certs", "pgsql"): ("pgsql", "node.monitor"),
        ("node", "admin"): ("node.admin",),
        ("node", "crontab"): ("node.time",),
        ("node", "dns"): ("node.hosts",),
        ("node", "firewall"): ("node.firewall",),
        ("node", "haproxy"): ("node.haproxy",),
        ("node", "hosts"): ("node.hosts",),
        ("node", "monitor"): ("node.monitor",),
        ("node", "node_kernel_modules"): ("node.tune",),
        ("node", "node_sysctl_params"): ("node.tune",),
        ("node", "node_timezone"): ("node.time",),
        ("node", "node_tune"): ("node.tune",),
        ("node", "ntp"): ("node.time",),
        # The sources look whether their index has the packages.
        ("node", "packages"): ("node.repo", "node.packages"),
        ("node", "vip"): ("node.vip",),
        # Read by the signer, when it is asked.
        ("infra", "pki"): (),
        ("infra", "repo"): ("infra.repo",),
        ("infra", "packages"): ("node.repo", "infra"),
        ("infra", "monitoring"): ("infra",),
        ("pgsql", "hba", "pgbouncer"): ("pgsql.pgbouncer",),
        ("pgsql", "hba", "postgres"): ("pgsql.hba",),
        ("pgsql", "hba", "offline_query"): ("pgsql.hba", "pgsql.pgbouncer"),
        ("pgsql", "objects"): ("pgsql.objects",),
        ("pgsql", "packages"): ("node.repo", "pgsql"),
        ("pgsql", "pgbouncer"): ("pgsql.pgbouncer",),
        # The record that outlives the inventory.
        ("pgsql", "removal"): ("pgsql.install",),
        ("pgsql", "services", "files"): ("pgsql.service",),
        ("pgsql", "vip"): ("pgsql.vip",),
    }
)
#: What runs before what, over all hosts: packages are in the repository before somebody installs
#: them, etcd knows a cluster's user before its members log in, a machine is set up before its
#: database, the databases before their routes, peers let a new member in before it comes, and who
#: watches comes last.
ORDER: tuple[frozenset[str], ...] = (
    frozenset({"infra.repo"}),
    frozenset({"etcd"}),
    frozenset(
        {"node"}
        | {f"node.{name}" for name in ("admin", "firewall", "haproxy", "hosts", "packages")}
        | {f"node.{name}" for name in ("repo", "time", "tune", "vip")}
    ),
    frozenset(
        {"pgsql"} | {f"pgsql.{n}" for n in ("hba", "install", "objects", "pgbouncer", "vip")}
    ),
    frozenset({"pgsql.service"}),
    frozenset({WHOLE}),
    frozenset({"infra", "node.monitor"}),
)
#: So many items or lines of one difference are shown.
SHOWN = 12
#: How a run orders the states of one host, as in ``states/pgsql/init.sls``.
_ASPECTS = ("pgsql.install", "pgsql.hba", "pgsql.objects", "pgsql.pgbouncer", "pgsql.vip")


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of a host's pillar that isn't what it was.

    Attributes:
        path: where, joined by colons as Salt does.
        old, new: what was there and what is, as lines; secrets are masked.
        states: who reads it.
    """

    path: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What is to be done on one host.

    Attributes:
        host: its address.
        name: the node's name.
        states: which SLS files, in order; ``highstate`` alone means all that the host has.
        why: what is different, when it is no part of the pillar.
        differences: what is different.
    """

    host: str
    name: str
    states: tuple[str, ...]
    why: str = ""
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What an edit of the inventory touches.

    Attributes:
        basis: id of what the hosts would be applied with.
        hosts: where something is to be run, in the order of the inventory.
        same: hosts with another basis than the present one, but the same pillar.
        human: sentences about what was taken out of the inventory and is still there.
        gone: hosts and modules among those: what runs for them stays until a person removes it.
    """

    basis: str
    hosts: tuple[HostPlan, ...] = ()
    same: tuple[str, ...] = ()
    human: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def stages(self) -> tuple[tuple[Job, ...], ...]:
        """Return the jobs: those of a stage may run at once, a stage begins after the one before.

        A host that is applied as a whole runs all its states in one job, as in any apply.
        """
        stages = []
        for states in ORDER:
            groups: dict[tuple[str, ...], list[str]] = {}
            for host in self.hosts:
                if mine := tuple(sls for sls in host.states if sls in states):
                    groups.setdefault(mine, []).append(host.host)
            jobs = [
                Job(tuple(hosts), () if sls == (WHOLE,) else sls) for sls, hosts in groups.items()
            ]
            if jobs:
                stages.append(tuple(jobs))
        return tuple(stages)


def make(
    now: Basis,
    before: Mapping[str, Basis | None],
    platform: Platform,
    hosts: Sequence[str],
    show: Callable[[Any], Any] | None = None,
) -> Plan:
    """Return what the present inventory touches on some hosts.

    Args:
        now: the present basis.
        before: what each host was last applied with, by address; None where that is no longer
            known. A host that isn't here was never applied.
        platform: the operating system that pillars are made for.
        hosts: who is meant, in the order of the inventory.
        show: masks secrets in plain data. Without it, differences aren't told: a reaction only
            needs the states.
    """
    planned: list[HostPlan] = []
    differing: dict[str, list[tuple[Path, Any, Any]]] = {}
    same: list[str] = []
    human: list[str] = []
    gone: list[str] = []
    for host in hosts:
        name = now.topology.nodes[host].name
        if host not in before:
            planned.append(HostPlan(host, name, (WHOLE,), "it was never applied"))
            continue
        old = before[host]
        if old is None or host not in old.topology.nodes:
            planned.append(
                HostPlan(host, name, (WHOLE,), "what it was applied with isn't known any more")
            )
        elif old.id != now.id:
            was = compile_pillar(old.topology, host, old.site, platform)
            wanted = compile_pillar(now.topology, host, now.site, platform)
            lost = _lost(was, wanted)
            found = [one for one in compare(was, wanted) if one[0][0] not in lost]
            states = minimal(
                sls
                for path, _old, _new in found
                for sls in readers(path)
                if sls.partition(".")[0] not in lost
            )
            if states:
                planned.append(HostPlan(host, name, states))
                differing[host] = found
            elif not lost:
                same.append(host)
            for module in lost:
                gone.append(f"{module} on {host}")
                human.append(_removal(module, host, old))
    for host, old in before.items():
        if host not in now.topology.nodes:
            gone.append(host)
            human.append(_left(host, old))
    human += dropped(now, before, hosts)
    if show:
        # When every pillar is made, every secret that one may hold is known to what masks them.
        planned = [
            replace(one, differences=tuple(_told(differing.get(one.host, ()), show)))
            for one in planned
        ]
    return Plan(now.id, tuple(planned), tuple(same), tuple(dict.fromkeys(human)), tuple(gone))


def compare(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Yield every part that differs: its path, and both values (None for one that isn't there)."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            if key not in old or key not in new or old[key] != new[key]:
                yield from compare(old.get(key), new.get(key), (*path, str(key)))
    elif old != new:
        # A part that comes or goes as a whole is one difference, under its own name.
        yield path, old, new


def readers(path: Path) -> tuple[str, ...]:
    """Return the states that read a part of the pillar."""
    for length in range(len(path), 0, -1):
        if (known := READERS.get(path[:length])) is not None:
            return known
    return _module(path)


def _module(path: Path) -> tuple[str, ...]:
    return targets.STATES.get(path[0], (WHOLE,))


def minimal(states: Iterable[str]) -> tuple[str, ...]:
    """Return states in the order in which one host runs them, without those that others include."""
    wanted = set(states)
    if WHOLE in wanted:
        return (WHOLE,)
    for module in ("node", "pgsql"):
        if module in wanted:
            wanted -= {s for s in wanted if s.startswith(f"{module}.") and s != "node.monitor"}
    known = [sls for stage in ORDER for sls in (*_ASPECTS, *sorted(stage)) if sls in stage]
    return tuple(sls for sls in dict.fromkeys(known) if sls in wanted)


def covers(ran: Sequence[str], needed: Sequence[str]) -> bool:
    """Whether a run of some states did what other states would.

    Args:
        ran: what ran; nothing or ``highstate`` for all that a host has.
        needed: what was needed.
    """
    if not ran or WHOLE in ran:
        return True
    parts = [sls for sls in ran if sls in ("node", "pgsql")]
    return all(
        sls in ran or (sls != "node.monitor" and sls.partition(".")[0] in parts) for sls in needed
    )


def dropped(now: Basis, before: Mapping[str, Basis | None], hosts: Sequence[str]) -> list[str]:
    """Return sentences about users and databases that are no longer declared, and stay.

    Args:
        now: the present basis.
        before: what each host was last applied with.
        hosts: who is meant.
    """
    found = []
    for name, cluster in now.topology.pg_clusters.items():
        first = next((m.ip for m in cluster.members if m.ip in hosts and before.get(m.ip)), None)
        old = before[first].topology.pg_clusters.get(name) if first else None  # type: ignore[union-attr]
        if old is None:
            continue
        for kind, key in (("user", "pg_users"), ("database", "pg_databases")):
            left = [n for n in _names(old.vars[key]) if n not in _names(cluster.vars[key])]
            found += [
                f"{kind} {one} of {name} is no longer declared and stays as it is; to have it "
                "removed, declare it with `state: absent`"
                for one in left
            ]
    return found


def _names(objects: Any) -> list[str]:
    return [str(one.get("name")) for one in objects or () if isinstance(one, Mapping)]


def _lost(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [module for module in old["meta"]["modules"] if module not in new["meta"]["modules"]]


def _removal(module: str, host: str, old: Basis) -> str:
    """Return what a person has to do about a module that a host no longer has."""
    if module == "pgsql":
        member = old.topology.pg_instances[host]
        return (
            f"{member.name} on {host} is no longer declared and goes on running; "
            f"`pigsty pgsql rm {member.cluster} {member.name}` removes it"
        )
    return f"{module} on {host} is no longer declared; what runs there goes on"


def _left(host: str, old: Basis | None) -> str:
    """Return what a person has to do about a host that the inventory no longer has."""
    member = old.topology.pg_instances.get(host) if old else None
    text = f"{host} is no longer in the inventory and goes on as it is"
    if member is not None:
        text += f"; `pigsty pgsql rm {member.cluster} {member.name}` removes its database"
    return f"{text}; `pigsty node rm {host}` takes it out of the deployment"


def _told(
    found: Iterable[tuple[Path, Any, Any]], show: Callable[[Any], Any]
) -> Iterator[Difference]:
    for path, old, new in found:
        states = readers(path)
        if states:
            before, after = _lines(path, old, new, show)
            yield Difference(":".join(path), before, after, states)


def _lines(
    path: Path, old: Any, new: Any, show: Callable[[Any], Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what was there and what is, only as far as they differ, with secrets masked."""
    before, after = _parts(path, old, show), _parts(path, new, show)
    if before == after:
        # What differs is masked in both.
        return (MASK,), (f"{MASK} (another one)",)
    had, has = set(before), set(after)
    removed = [line for line in before if line not in has]
    added = [line for line in after if line not in had]
    if not removed and not added:
        matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
        moved = [line for tag, _a, _b, c, d in matcher.get_opcodes() if tag != "equal"
                 for line in after[c:d]]  # fmt: skip
        return (), tuple(f"{line} (moved)" for line in _few(moved))
    return tuple(_few(removed)), tuple(_few(added))


def _parts(path: Path, value: Any, show: Callable[[Any], Any]) -> list[str]:
    """Return a value as comparable lines: items of a list, keys of a mapping, lines of a text."""
    if value is None:
        return []
    masked = show({path[-1]: value})[path[-1]]
    if isinstance(masked, Mapping):
        return [f"{key}: {_short(part)}" for key, part in masked.items()]
    if isinstance(masked, (list, tuple)):
        return [_short(item) for item in masked]
    return str(masked).splitlines() or [""]


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_short(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_short, value)) + "]"
    if isinstance(value, str) and "\n" in value:
        return f"{value.splitlines()[0]} … ({len(value.splitlines())} lines)"
    return str(value)


def _few(lines: Sequence[str]) -> list[str]:
    if len(lines) <= SHOWN:
        return list(lines)
    return [*lines[:SHOWN], f"… and {len(lines) - SHOWN} more"]
