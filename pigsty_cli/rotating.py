"""Rotations: what is noted on the admin node, whose turn it is, and waiting until it is in force.

Whatever is noted is made true by apply. So a command that was cut off is finished by the next
apply, or by the same command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pigsty import pki, rotation
from pigsty.deadlines import DEADLINES
from pigsty.pillar.site import Site
from pigsty.render.certificates import PLACES, leaves
from pigsty.topology import Topology
from pigsty.wording import counted
from pigsty_cli import applying, deployment, history
from pigsty_cli.bootstrap.files import Tree
from pigsty_cli.bootstrap.layout import CA_CERTIFICATE, SECRET_KEY
from pigsty_cli.errors import Partial, Refused

Say = Callable[[str], None]
#: Where it is noted what was rotated.
NOTE = str(Path(SECRET_KEY).with_name(rotation.FILE))


def note(what: rotation.Rotation) -> None:
    """Write down what was rotated; the pillars have it from then on."""
    Tree(Path("/")).write(NOTE, what.text(), 0o600)


def site() -> Site:
    """Return this deployment's key, CAs, and what was rotated."""
    return Site.read(SECRET_KEY, CA_CERTIFICATE)


@dataclass(frozen=True, slots=True)
class Hands:
    """What rotations do to the nodes.

    Attributes:
        master: the Salt master.
        topology: the deployment.
        screen: makes the display of a run.
        say: takes a line for the person who watches.
    """

    master: Any
    topology: Topology
    screen: Callable[[Sequence[str]], applying.Screen]
    say: Say

    def apply(self, hosts: Sequence[str], modules: Sequence[str] = ()) -> None:
        """Apply some modules of some hosts (all of them when none is named).

        Raises:
            Refused: a host can't be reached, or is busy.
            Partial: a state failed.
        """
        found = applying.presence(self.master, hosts, self.topology.admin_ip)
        refuse(found.missing | {host: f"runs {job}" for host, job in found.busy.items()})
        plan = applying.Plan(self.topology, tuple(hosts), tuple(modules), False)
        run = applying.Run(self.master, plan, self.screen, self.say)
        basis = history.basis(self.topology)
        results = run.run(found, built=True)
        history.remember(results, run.jids)
        history.note(plan, basis, results)
        failed = [result for result in results if not result.good]
        if failed:
            lines = [f"{one.host}: {one.error or _failures(one)}" for one in failed]
            raise Partial(
                "\n  ".join([f"{len(failed)} of {counted(len(results), 'host')} failed:", *lines])
                + "\nWhat was noted stays noted: `pigsty apply` goes on where this ended"
            )

    def ask(
        self, hosts: Sequence[str], function: str, deadline: str, **keywords: Any
    ) -> dict[str, dict[str, Any]]:
        """Call a function of ours on some hosts.

        Raises:
            Partial: one didn't answer, or refused.
        """
        if not hosts:
            return {}
        job = self.master.publish(list(hosts), function, (), keywords or None)
        limit = DEADLINES[deadline] + DEADLINES["apply.presence"]
        answers: dict[str, Any] = self.master.collect(job, lambda _: limit)
        bad = [
            f"{host}: {str(answers.get(host, 'no answer')).removeprefix('ERROR: ').strip()}"
            for host in hosts
            if not isinstance(answers.get(host), dict)
        ]
        if bad:
            raise Partial("\n  ".join([f"{function}:", *bad]))
        return {host: answers[host] for host in hosts}

    def synced(self, hosts: Sequence[str]) -> None:
        """See that all hosts are there, and bring our modules to those that have older ones.

        Raises:
            Refused: one isn't reached.
        """
        found = applying.presence(self.master, hosts, self.topology.admin_ip)
        refuse(found.missing)
        if found.stale:
            answers = applying.bring(self.master, found.stale, self.say)
            refuse({host: "took no modules" for host in found.stale if host not in answers})

    def turns(self, hosts: Iterable[str]) -> list[tuple[str, ...]]:
        """Return who is touched after whom: no two members of a cluster at once, leaders last."""
        clusters = deployment.live_members(self.topology.pg_clusters.values())
        groups = [
            [row.host for row in sorted(rows, key=lambda row: row.role in LEADERS)]
            for rows in clusters.values()
        ]
        return rotation.waves([*groups, [etcd.ip for etcd in self.topology.etcd]], hosts)

    def certificates(self, hosts: Sequence[str], wait: bool = False) -> dict[str, dict[str, Any]]:
        """Return what hosts have of certificates; ``wait`` until their daemons show them."""
        keywords = {"wait": True} if wait else {}
        deadline = "pki.served" if wait else "apply.presence"
        return self.ask(hosts, "pigsty_pki.certificates", deadline, **keywords)

    def reissue(self, hosts: Sequence[str], modules: Sequence[str]) -> None:
        """Apply hosts in turn; each shows its new certificates before the next one's turn."""
        turns = self.turns(hosts)
        for at, turn in enumerate(turns, 1):
            self.say(f"Turn {at} of {len(turns)}: {', '.join(turn)}")
            # Every node's own states publish, last of all, when its certificates end.
            self.apply(turn, tuple(dict.fromkeys((*modules, "node"))) if modules else ())
            self.certificates(turn, wait=True)


LEADERS = ("primary", "standby_leader")


def refuse(missing: Mapping[str, str]) -> None:
    """Refuse to go on when a host that is needed isn't there.

    Raises:
        Refused: there is one.
    """
    if missing:
        lines = [f"{host}: {why}" for host, why in missing.items()]
        raise Refused("\n  ".join(["not all hosts can be used:", *lines]))


def rows(
    topology: Topology,
    own: Site,
    found: Mapping[str, Mapping[str, Any]],
    now: datetime | None = None,
) -> list[dict[str, Any]]:
    """Return a row for every certificate: what it is, whether it is good, and who doesn't show it.

    Args:
        topology: the deployment.
        own: its CAs, and what was rotated.
        found: what ``pigsty_pki.certificates`` returned, by host.
        now: the current moment.
    """
    now = now or datetime.now(UTC)
    table = []
    for host, data in found.items():
        node = topology.nodes[host]
        wanted = leaves(topology, node)
        for row in data["leaves"]:
            role, pem = str(row["role"]), str(row["pem"]).encode()
            if role not in wanted:
                continue
            leaf = replace(wanted[role], since=own.rotation.since(host, role))
            end = pki.expiry(pem)
            table.append(
                {
                    "host": host,
                    "node": node.name,
                    "role": role,
                    "path": row["path"],
                    "serial": pki.serial(pem),
                    "names": [*leaf.dns, *leaf.ips],
                    "expires": f"{end:%Y-%m-%d}",
                    "days": (end - now).days,
                    "state": pki.needs_renewal(pem, leaf, own.ca.encode(), now) or "valid",
                    "outdated": list(row["outdated"]),
                }
            )
    return table


def roles(
    topology: Topology, hosts: Iterable[str], modules: Sequence[str]
) -> list[tuple[str, str]]:
    """Return host and role of the certificates that hosts have, of some modules or of all."""
    return [
        (host, role)
        for host in hosts
        for role in leaves(topology, topology.nodes[host])
        if role in PLACES and (not modules or role in modules)
    ]


def _failures(result: Any) -> str:
    return "; ".join(f"{failure.id}: {failure.comment}" for failure in result.failures)


@contextmanager
def hands(topology: Topology, what: str) -> Iterator[Hands]:
    """Hold the lock of applies, and the Salt master, while something is rotated.

    Args:
        topology: the deployment.
        what: what runs, as a person would type it.
    """
    from pigsty_cli import lock, progress
    from pigsty_cli.output import message
    from pigsty_cli.saltapi import Master

    labels = {host: node.name for host, node in topology.nodes.items()}

    def screen(hosts: Sequence[str]) -> applying.Screen:
        return progress.display({host: labels[host] for host in hosts})

    with lock.held(what), Master() as master:
        yield Hands(master, topology, screen, message)
