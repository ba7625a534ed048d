"""The HAProxies that carry a cluster's services, asked and told by their machines' minions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pigsty import balancing
from pigsty.balancing import Part, Server
from pigsty.deadlines import DEADLINES
from pigsty.render import services
from pigsty.topology import PgCluster, Topology
from pigsty_cli import saltapi


@dataclass
class Carriers:
    """Who carries the services of a cluster, and what they say.

    Attributes:
        cluster: its name.
        hosts: machines whose HAProxy carries its services.
        parts: of its services, by HAProxy's names.
        silent: hosts that didn't answer, or what they had against it.
    """

    cluster: str
    hosts: tuple[str, ...]
    parts: Mapping[str, Part]
    silent: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, topology: Topology, cluster: PgCluster) -> Carriers:
        """Return the carriers of a cluster."""
        own = tuple(member.ip for member in cluster.members)
        hosts = services.providers(topology, cluster) or own
        return cls(cluster.name, hosts, balancing.parts(services.services(cluster)))

    def look(self) -> list[Server]:
        """Return the servers behind the services as they live, host by host.

        Raises:
            SaltError: there is no Salt master here.
        """
        with saltapi.Master() as master:
            answers = master.collect(self.ask(master), lambda _: DEADLINES["haproxy.asked"])
        return self.read(answers, self.hosts)

    def ask(self, master: saltapi.Master) -> saltapi.Published:
        """Ask the carriers for the servers behind the services; :meth:`read` takes the answers."""
        return master.publish(self.hosts, "pigsty_haproxy.servers", [list(self.parts)])

    def turn(
        self, changes: Sequence[tuple[str, str, str]], member: str, state: str
    ) -> list[Server]:
        """Bring a member into a state, where :func:`pigsty.balancing.due` says so.

        Raises:
            SaltError: there is no Salt master here.
        """
        parts: dict[str, list[str]] = {}
        for host, part, _ in changes:
            parts.setdefault(host, []).append(part)
        alike: dict[tuple[str, ...], list[str]] = {}
        for host, names in parts.items():
            alike.setdefault(tuple(names), []).append(host)
        answers: dict[str, Any] = {}
        with saltapi.Master() as master:
            jobs = [
                master.publish(hosts, "pigsty_haproxy.turn", [list(names), member, state])
                for names, hosts in alike.items()
            ]
            for found in master.collect_all(jobs, lambda _: DEADLINES["haproxy.asked"]):
                answers |= found
        return self.read(answers, tuple(parts))

    def read(self, answers: Mapping[str, Any], hosts: Sequence[str]) -> list[Server]:
        """Return the servers that the answers of hosts tell of; who says nothing is `silent`."""
        found: list[Server] = []
        for host in hosts:
            answer = answers.get(host, "its minion doesn't answer")
            if isinstance(answer, list):
                found += balancing.servers(host, answer, self.parts)
            else:
                self.silent[host] = str(answer).removeprefix("ERROR: ").strip().splitlines()[-1]
        return found
