"""What adding and removing members share: asking machines, phases of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pigsty import dcs
from pigsty.clients.patroni import CA, Patroni
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError
from pigsty.returns import HostResult, merge
from pigsty.targets import Job
from pigsty.topology import Topology
from pigsty_cli import applying, exitcodes, history
from pigsty_cli.applying import Master, Presence
from pigsty_cli.deployment import ask
from pigsty_cli.errors import CliError, Refused
from pigsty_cli.output import message
from pigsty_cli.running import screen


def answering(live: dcs.Cluster) -> frozenset[str]:
    """Return the names of the members whose Patroni answers; all are asked at once."""
    said = ask(lambda member: _status(member) is not None, live.members)
    return frozenset(m.name for m, yes in zip(live.members, said, strict=True) if yes)


def serving(live: dcs.Cluster) -> bool:
    """Whether the holder of the leader key says itself that it leads."""
    leader = live.member(live.leader)
    status = _status(leader) if leader else None
    return status is not None and status.leader and status.running


def _status(member: dcs.Member) -> Any:
    ca = CA if member.api_tls else None
    client = Patroni(member.host, member.api_port, ca=ca, timeout=DEADLINES["status.request"])
    try:
        return client.status()
    except ClientError:
        return None


@dataclass(slots=True)
class Phases:
    """State runs one after the other, each seen through before the next.

    Attributes:
        master: the Salt master.
        topology: the inventory.
        found: who is there.
        test: only look.
        results: of all hosts so far.
    """

    master: Master
    topology: Topology
    found: Presence
    test: bool
    results: dict[str, HostResult] = field(default_factory=dict)

    def ready(self) -> None:
        """Bring our modules to those who lack them, before anything of ours is called there.

        Raises:
            Refused: states run there already.
            CliError: one didn't take them.
        """
        found = self.found
        if found.busy:
            jobs = "; ".join(f"{host}: {text}" for host, text in found.busy.items())
            raise Refused(f"states run already on {jobs}. Wait for it, or look with --job")
        plan = applying.Plan(self.topology, found.up, (), self.test)
        run = applying.Run(self.master, plan, screen({}), message)
        if late := sorted(set(found.up) - set(run.synced(found))):
            raise CliError(f"{', '.join(late)} took no modules: look at its minion's log")

    def run(self, what: str, work: Sequence[Job], pillar: Mapping[str, Any] | None = None) -> bool:
        """Run some jobs; return whether all went well.

        Args:
            what: what they are for, for a person.
            work: the jobs; a host stands in one of them only.
            pillar: what the states find in their pillar besides; also on hosts that have none.
        """
        meant = [host for job in work for host in job.hosts]
        hosts = tuple(host for host in meant if host in self.found.up)
        if not hosts:
            return True
        message(f"{what}: {', '.join(hosts)}")
        plan = _Plan(self.topology, hosts, (), self.test, tuple(work), own=dict(pillar or {}))
        names = {h: self.topology.nodes[h].name for h in hosts if h in self.topology.nodes}
        run = applying.Run(self.master, plan, screen(dict.fromkeys(hosts, "") | names), message)
        basis = history.basis(self.topology)
        # The modules were brought to all of them at the beginning.
        try:
            results = run.run(Presence(up=hosts), built=True)
        except KeyboardInterrupt:
            raise CliError(
                "interrupted: the machines end what they began, and the same command goes on from "
                "there",
                exitcodes.INTERRUPTED,
            ) from None
        if not plan.own:
            history.note(plan, basis, results)
        for result in results:
            known = self.results.get(result.host)
            self.results[result.host] = merge(known, result) if known else result
        return all(result.good for result in results)


@dataclass(frozen=True, slots=True)
class _Plan(applying.Plan):
    """A plan whose states get something of their own in the pillar."""

    own: Mapping[str, Any] = field(default_factory=dict)

    def keywords(self) -> dict[str, Any]:
        """Return the keywords of the state runs."""
        base = applying.Plan.keywords(self)
        # A host that was taken out of the inventory has no pillar, which Salt would refuse to use.
        return base | ({"pillar": dict(self.own), "force": True} if self.own else {})
