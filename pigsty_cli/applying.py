"""One run of states: who is there, what is missing there, then the jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pigsty
from pigsty import catalogue, platform, returns
from pigsty.clients import extmods
from pigsty.deadlines import DEADLINES
from pigsty.returns import HostResult
from pigsty.scope import KEY
from pigsty.targets import Job, jobs
from pigsty.topology import Topology
from pigsty.wording import counted
from pigsty_cli.jobs import Bus, Display, Follower
from pigsty_cli.saltapi import EXECUTOR, Published

#: One question that a minion answers without touching anything: is it there, does it run states
#: already, and are its modules of ours those of this master?
PRESENCE = ("saltutil.is_running", "pigsty_extmods.fingerprint")
#: Where this master's modules are: the core package is a neighbour of the folders of each kind.
EXTMODS = Path(pigsty.__file__).resolve().parents[1]
#: Of these, what the Salt master reads once: the core, and its own modules.
_MASTERS = ("pigsty", "_engines", "_pillar", "_runners")
_SYNC = ("saltutil.sync_all", "saltutil.refresh_modules")
#: Copy what is new, and only then let the minion's main process read it, waiting until it has.
_SYNC_ARGUMENTS = [
    [{"refresh": False, "__kwarg__": True}],
    [{"async": False, "__kwarg__": True}],
]


class Master(Bus, Protocol):
    """What is needed of the Salt master (see :class:`pigsty_cli.saltapi.Master`)."""

    def publish(
        self,
        hosts: Sequence[str],
        function: str | Sequence[str],
        arguments: Sequence[Any] = (),
        keywords: Mapping[str, Any] | None = None,
        executor: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> Published:
        """Start a job."""

    def collect(self, job: Published, deadline: Callable[[str], float]) -> dict[str, Any]:
        """Wait for the returns of a quick job."""

    def connected(self) -> frozenset[str]:
        """Return the addresses that are connected."""


class Screen(Display, AbstractContextManager[Any], Protocol):
    """A display that is drawn within a ``with`` statement."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do.

    Attributes:
        topology: the deployment.
        hosts: who is meant, in the order of the inventory.
        modules: which modules, none for all that a host has.
        test: only look.
        work: exactly these jobs, whatever the modules: one aspect of a cluster.
        stages: exactly these jobs, one group after the other: what an edit touches.
        only: which objects alone are meant, as names by kind; states find it in the pillar. It
            holds no secrets: it travels in the job.
    """

    topology: Topology
    hosts: tuple[str, ...]
    modules: tuple[str, ...]
    test: bool
    work: tuple[Job, ...] = ()
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stages: tuple[tuple[Job, ...], ...] = ()

    @property
    def whole(self) -> bool:
        """Whether everything that the hosts have is meant."""
        return not (self.modules or self.work or self.stages)

    def jobs(self, up: Sequence[str]) -> tuple[Job, ...]:
        """Return what there is to run on those who are there."""
        return tuple(job for stage in self.phases(up) for job in stage)

    def phases(self, up: Sequence[str]) -> tuple[tuple[Job, ...], ...]:
        """Return the same in groups, of which one begins when the one before has ended."""
        if not self.work and not self.stages:
            return (jobs(self.topology, up, self.modules),)
        there = frozenset(up)
        found = (
            tuple(
                Job(hosts, job.states)
                for job in stage
                if (hosts := tuple(host for host in job.hosts if host in there))
            )
            for stage in self.stages or (self.work,)
        )
        return tuple(stage for stage in found if stage)

    def states(self, host: str) -> tuple[str, ...]:
        """Return what runs on a host; nothing for everything that it has."""
        mine = [job.states for job in self.jobs((host,))]
        return () if () in mine else tuple(sls for states in mine for sls in states)

    def keywords(self) -> dict[str, Any]:
        """Return the keywords of the state runs."""
        keywords: dict[str, Any] = {"test": True} if self.test else {}
        if self.only:
            keywords["pillar"] = {KEY: {kind: list(names) for kind, names in self.only.items()}}
        return keywords


@dataclass(slots=True)
class Presence:
    """Who is there.

    Attributes:
        up: hosts whose minion answered.
        missing: the others, and why.
        busy: hosts that run states already, and which job.
        stale: hosts that lack our modules, or have others than the master.
    """

    up: tuple[str, ...]
    missing: dict[str, str] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()


def presence(master: Master, hosts: Sequence[str], own: str) -> Presence:
    """Ask who is there; who has no connection is known at once, without a time-out.

    Args:
        master: the Salt master.
        hosts: minion ids, which are addresses.
        own: the admin node, whose minion may connect from any address of this machine.
    """
    asked = master.publish(hosts, PRESENCE, [["state.*"], []])
    connected = master.connected() | {own}

    def deadline(host: str) -> float:
        name = "apply.presence" if host in connected else "apply.stranger"
        return float(DEADLINES[name])

    answers = master.collect(asked, deadline)
    found = Presence(up=tuple(host for host in hosts if host in answers))
    for host in hosts:
        if host not in asked.minions:
            found.missing[host] = "this master has accepted no key of it"
        elif host not in answers and host not in connected:
            found.missing[host] = "its minion isn't connected"
        elif host not in answers:
            found.missing[host] = f"its minion didn't answer within {deadline(host):g} s"
    found.busy = {h: text for h in found.up if (text := _busy(answers[h]))}
    own_modules = extmods.fingerprint(EXTMODS, "_")
    found.stale = tuple(h for h in found.up if _modules(answers[h]) != own_modules)
    return found


def _busy(answer: Any) -> str:
    running = answer.get(PRESENCE[0]) if isinstance(answer, Mapping) else None
    jobs_there = running if isinstance(running, list) else []
    return ", ".join(
        f"{job.get('fun')} (job {job.get('jid')})" for job in jobs_there if isinstance(job, Mapping)
    )


def _modules(answer: Any) -> Any:
    # A minion that has none of our modules says that there is no such function.
    return answer.get(PRESENCE[1]) if isinstance(answer, Mapping) else None


def kept() -> tuple[Path, ...]:
    """Return the folders of what the Salt master reads once: modules, catalogues, alerts' rules."""
    # Slow to import; whoever applies has loaded it.
    from pigsty.pillar import monitoring

    modules = (EXTMODS / name for name in _MASTERS)
    return (*modules, catalogue.DIRECTORY, platform.DIRECTORY, monitoring.RULES)


def outdated(started: float | None) -> bool:
    """Whether what the Salt master keeps in its memory has changed since it started.

    Args:
        started: when the master was started, None if unknown.
    """
    return started is not None and extmods.changed(*kept()) > started


def repository_flag(topology: Topology) -> Path | None:
    """Return the file that says that the package repository of the admin node is built.

    None when the admin node serves no repository.
    """
    node = topology.nodes.get(topology.admin_ip)
    if node is None or "infra" not in node.modules or not node.vars.get("repo_enabled", True):
        return None
    return Path(str(node.vars["repo_home"])) / str(node.vars["repo_name"]) / "Release"


def bring(master: Master, hosts: Sequence[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Bring our modules to some hosts; return what they answered, by host."""
    say(f"Bringing modules to {counted(len(hosts), 'host')}.")
    job = master.publish(hosts, _SYNC, _SYNC_ARGUMENTS)
    return master.collect(job, lambda _host: DEADLINES["apply.sync"])


class Run:
    """Applies a plan.

    Args:
        master: the Salt master.
        plan: what to do.
        screen: makes the display of one phase, for the hosts in it.
        say: takes a line for the person who watches.
    """

    def __init__(
        self,
        master: Master,
        plan: Plan,
        screen: Callable[[Sequence[str]], Screen],
        say: Callable[[str], None],
    ) -> None:
        self._master, self._plan, self._screen, self._say = master, plan, screen, say
        self.jids: dict[str, str] = {}
        self._results: dict[str, HostResult] = {}

    def run(self, found: Presence, *, built: bool) -> list[HostResult]:
        """Run the jobs on who is there.

        Args:
            found: from :func:`presence`.
            built: whether the package repository exists already. If not, the admin node builds it
                before anything else: on bare nodes every package comes from there.

        Returns:
            A result for every host of the plan that has something to run.

        Raises:
            KeyboardInterrupt: Ctrl-C; the jobs in ``jids`` go on.
        """
        plan, admin = self._plan, self._plan.topology.admin_ip
        self._results = {
            host: HostResult(host, "unreachable", error=why) for host, why in found.missing.items()
        }
        up = self.synced(found)
        work = plan.jobs(up)
        first = not built and not plan.test and admin in up
        if first and any(not job.states or job.states != ("infra.repo",) for job in work):
            self._say("First the package repository on the admin node, which every node needs.")
            self._follow([Job((admin,), ("infra.repo",))])
            if not self._results[admin].good:
                for host in up:
                    if host != admin:
                        why = f"not begun: the package repository on {admin} failed"
                        self._results[host] = HostResult(host, "failed", error=why)
                return self._in_order()
        for stage in plan.phases(up):
            self._stage(stage)
        return self._in_order()

    def _stage(self, stage: Sequence[Job]) -> None:
        """Run a group of jobs, unless one before it failed: it was there for a reason."""
        failed = [h for h, result in self._results.items() if result.status in ("failed", "lost")]
        if not failed or not self._plan.stages:
            self._follow(stage)
            return
        why = f"not begun: what comes before it failed on {', '.join(failed)}"
        for host in (host for job in stage for host in job.hosts if host not in failed):
            skipped, known = HostResult(host, "failed", error=why), self._results.get(host)
            self._results[host] = returns.merge(known, skipped) if known else skipped

    def synced(self, found: Presence) -> list[str]:
        """Bring our modules to who lacks them: before the run, so that progress works in it too."""
        needy = found.stale
        if not needy:
            return list(found.up)
        answers = bring(self._master, needy, self._say)
        for host in needy:
            if host not in answers:
                why = f"took no modules within {DEADLINES['apply.sync']:g} s"
                self._results[host] = HostResult(host, "lost", error=why)
        return [host for host in found.up if host not in self._results]

    def _follow(self, work: Sequence[Job]) -> None:
        if not work:
            return
        hosts = [host for job in work for host in job.hosts]
        started = {}
        for job in work:
            arguments = [",".join(job.states)] if job.states else []
            published = self._master.publish(
                job.hosts,
                "state.apply",
                arguments,
                self._plan.keywords(),
                EXECUTOR,
                {"synced": True},
            )
            self.jids.update(dict.fromkeys(job.hosts, published.jid))
            started[published.jid] = job.hosts
        with self._screen(hosts) as screen:
            for host, result in Follower(self._master, screen).follow(started).items():
                known = self._results.get(host)
                self._results[host] = returns.merge(known, result) if known else result

    def _in_order(self) -> list[HostResult]:
        return [self._results[h] for h in self._plan.hosts if h in self._results]
