"""What one page about a cluster needs, asked of Patronis and minions side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pigsty import overview
from pigsty.clients.patroni import Cluster, Patroni, Status
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError
from pigsty.overview import Seen
from pigsty.topology import PgCluster, PgInstance, Topology
from pigsty_cli import deployment, saltapi
from pigsty_cli.balancers import Carriers

Answer = TypeVar("Answer")
Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Patronis:
    """By address, what the members' Patronis said."""

    views: Mapping[str, Cluster | None]
    statuses: Mapping[str, Status | None]
    configs: Mapping[str, Mapping[str, Any] | None]


@dataclass(slots=True)
class _Minions:
    """What the minions said, by question; why a question has no answer."""

    answers: dict[str, Answers] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)


def look(topology: Topology, cluster: PgCluster) -> Seen:
    """Ask everybody who knows something of a cluster; who is silent costs one deadline in all."""
    carriers = Carriers.of(topology, cluster)
    with ThreadPoolExecutor(max_workers=1) as pool:
        asked = pool.submit(_patronis, cluster)
        # In this thread, because Salt wants the main one, and the other waits for the network.
        minions = _minions(topology, cluster, carriers, asked)
        patronis = asked.result()
    answers = minions.answers
    servers = carriers.read(answers["services"], carriers.hosts) if "services" in answers else []
    addresses = answers.get("vip", {})
    return Seen(
        views=patronis.views,
        statuses=patronis.statuses,
        configs=patronis.configs,
        servers=servers,
        silent=carriers.silent,
        backup=next(iter(answers.get("backup", {}).values()), None),
        addresses={host: own for host, own in addresses.items() if isinstance(own, list)},
        unknown=minions.unknown,
    )


def _patronis(cluster: PgCluster) -> _Patronis:
    """Ask every member three things, all at once."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        views = pool.submit(deployment.views, cluster.members)
        statuses = pool.submit(_each, cluster, lambda patroni: patroni.status())
        configs = pool.submit(_each, cluster, lambda patroni: patroni.config())
        return _Patronis(views.result(), statuses.result(), configs.result())


def _each(cluster: PgCluster, question: Callable[[Patroni], Answer]) -> dict[str, Answer | None]:
    def one(member: PgInstance) -> Answer | None:
        try:
            return question(deployment.patroni(member))
        except ClientError:
            return None

    answers = deployment.ask(one, cluster.members)
    return dict(zip((member.ip for member in cluster.members), answers, strict=True))


def _minions(
    topology: Topology, cluster: PgCluster, carriers: Carriers, asked: Future[_Patronis]
) -> _Minions:
    """Ask HAProxies and, of the leader, its repository; and who has the floating address."""
    params = cluster.vars
    wanted = ["services"]
    wanted += ["vip"] if params["pg_vip_enabled"] else []
    wanted += ["backup"] if params["pgbackrest_enabled"] else []
    try:
        with saltapi.Master() as master:
            jobs = {"services": carriers.ask(master)}
            if "vip" in wanted:
                hosts = [member.ip for member in cluster.members]
                jobs["vip"] = master.publish(hosts, "network.ip_addrs")
            leader = overview.leader(asked.result().views.values())
            if "backup" in wanted and leader is not None:
                jobs["backup"] = master.publish([leader.host], "pigsty_pgbackrest.look")
            connected = master.connected() | {topology.admin_ip}
            found = master.collect_all(
                list(jobs.values()),
                lambda host: DEADLINES["show.minion" if host in connected else "apply.stranger"],
            )
    except saltapi.SaltError as error:
        return _Minions(unknown=dict.fromkeys(wanted, str(error)))
    minions = _Minions(dict(zip(jobs, found, strict=True)))
    if "backup" in jobs and leader is not None:
        _judge(minions, leader.host, jobs["backup"])
    return minions


def _judge(minions: _Minions, host: str, job: saltapi.Published) -> None:
    """Take the answer about backups away where it is none, and note why."""
    answer = minions.answers["backup"].get(host)
    if isinstance(answer, dict):
        return
    if host not in job.minions:
        why = f"{host} is no minion of this master"
    elif answer is None:
        seconds = DEADLINES["show.minion"]
        why = f"the minion of {host} doesn't answer within {seconds:g} s (deadline show.minion)"
    else:
        said = str(answer).removeprefix("ERROR: ").strip().splitlines()
        why = f"{host}: {said[-1] if said else 'no answer'}"
    del minions.answers["backup"]
    minions.unknown["backup"] = why
