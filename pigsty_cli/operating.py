"""Operations on a living cluster: look at it, and have Patroni carry out what was decided.

What is done and why not is decided in :mod:`pigsty.operations`; here are the calls, the waits with
their deadlines, and the words on standard error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pigsty.clients.patroni import Cluster, Member, Patroni
from pigsty.deadlines import DEADLINES, DeadlineExceeded
from pigsty.errors import ClientError
from pigsty.operations import NotYet, Plan, Snapshot
from pigsty.render import services
from pigsty.summary import newest
from pigsty.topology import Topology
from pigsty_cli import following, progress
from pigsty_cli.access import Access
from pigsty_cli.deployment import ask
from pigsty_cli.errors import CliError
from pigsty_cli.output import message

Say = Callable[[str], None]


def look(to: Access) -> Snapshot:
    """Ask every member of a cluster, all at once, and return what they agree on.

    Raises:
        CliError: nobody answers.
    """
    declared = {member.ip for member in to.cluster.members}
    views = dict(
        zip(sorted(declared), ask(lambda ip: _view(to, ip), sorted(declared)), strict=True)
    )
    view = newest(answer for answer in views.values() if answer is not None)
    if view is None:
        raise CliError(f"no member of {to.cluster.name} answers: {', '.join(declared)}")
    # Members that the inventory has no more may live on; they are asked as well.
    others = sorted({member.host for member in view.members} - set(declared))
    views |= dict(zip(others, ask(lambda ip: _view(to, ip), others), strict=True))
    answering = {host for host, answer in views.items() if answer is not None}
    # What waits for a restart reaches the DCS a loop later; the member itself knows at once.
    waiting = dict(
        zip(sorted(answering), ask(lambda ip: _waits(to, ip), sorted(answering)), strict=True)
    )
    config: dict[str, Any] = {}
    for host in sorted(answering):
        try:
            config = to.client(host).config()
            break
        except ClientError:
            continue
    return Snapshot(
        cluster=to.cluster.name,
        members=tuple(
            replace(m, pending_restart=waiting.get(m.host, m.pending_restart)) for m in view.members
        ),
        answering=frozenset(m.name for m in view.members if m.host in answering),
        paused=view.paused,
        config=config,
    )


def settled(
    to: Access, decision: Callable[[Snapshot], Plan], say: Say, *, waits: bool = True
) -> tuple[Snapshot, Plan]:
    """Look and decide; look again while the answer is "not yet".

    Args:
        to: the cluster's members.
        decision: makes the plan of what was seen.
        say: takes a line of progress.
        waits: False: the first answer counts, as for a preview.

    Returns:
        The last look, and what was decided by it.

    Raises:
        OperationRefused: by the last look, at the latest after the deadline ``patroni.fit``.
        CliError: nobody answers.
    """
    found: list[tuple[Snapshot, Plan]] = []
    refusals: list[NotYet] = []

    def decided() -> bool:
        seen = look(to)
        try:
            found.append((seen, decision(seen)))
        except NotYet as refusal:
            if not waits:
                raise
            if not refusals:
                say(f"{refusal}; waiting for what members say at Patroni's next loop")
            refusals.append(refusal)
        return bool(found)

    try:
        progress.wait(decided, "patroni.fit", "a member can take the lead")
    except DeadlineExceeded:
        raise refusals[-1] from None
    return found[0]


def _view(to: Access, host: str) -> Cluster | None:
    try:
        return Patroni(host, to.port, ca=to.ca, timeout=DEADLINES["status.request"]).cluster()
    except ClientError:
        return None


def system(to: Access) -> str:
    """Return PostgreSQL's system identifier of a cluster; "" if no member tells it."""
    hosts = [member.ip for member in to.cluster.members]
    return next(filter(None, ask(lambda ip: _system(to, ip), hosts)), "")


def _system(to: Access, host: str) -> str:
    client = Patroni(host, to.port, ca=to.ca, timeout=DEADLINES["status.request"])
    try:
        return client.status().system
    except ClientError:
        return ""


def _waits(to: Access, host: str) -> bool:
    client = Patroni(host, to.port, ca=to.ca, timeout=DEADLINES["status.request"])
    try:
        return bool(client.status().pending_restart)
    except ClientError:
        return False


def carry_out(
    to: Access,
    snapshot: Snapshot,
    plan: Plan,
    say: Say,
    carriers: Sequence[str] = (),
    rows: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Do what a plan says.

    Args:
        to: the cluster's members.
        snapshot: what the plan was made from.
        plan: what to do.
        say: takes a line of progress.
        carriers: hosts whose HAProxy carries the cluster's services: they follow a new leader.
        rows: takes a row for each thing as soon as it is done, so that whoever gave it knows how
            far one came that fails.

    Returns:
        ``rows``: ``member``, ``done``, ``seconds``.

    Raises:
        ClientError: Patroni refused or failed; the text is its own.
        DeadlineExceeded: it was told to, and the result didn't come in time.
    """
    run = _Run(to, snapshot, plan, say, [] if rows is None else rows)
    if plan.action in ("switchover", "failover"):
        with following.services(to, snapshot, plan, carriers, say):
            return run.move_lead()
    return {
        "restart": run.restart,
        "reload": run.reload,
        "reinit": run.reinit,
        "pause": run.pause,
        "resume": run.pause,
        "promote": run.promote,
        "demote": run.demote,
    }[plan.action]()


@dataclass(frozen=True, slots=True)
class Done:
    """An operation that was looked at, and carried out unless only a look was wanted.

    Attributes:
        seen: the cluster as it was before.
        plan: what was decided.
        rows: a row for each thing that was done: ``member``, ``done``, ``seconds``.
    """

    seen: Snapshot
    plan: Plan
    rows: list[dict[str, Any]]


def operate(
    topology: Topology,
    to: Access,
    decide: Callable[[Snapshot], Plan],
    *,
    test: bool,
    agreed: Callable[[], None] = lambda: None,
    again: Callable[[Snapshot], Plan] | None = None,
    rows: list[dict[str, Any]] | None = None,
) -> Done:
    """Look at a cluster, decide, tell, and do.

    Args:
        topology: the inventory.
        to: the cluster's members.
        decide: makes the plan of what was seen.
        test: only look and decide.
        agreed: is called before anything is done, and raises if it shall not be.
        again: makes a second plan when the first one is done.
        rows: see :func:`carry_out`.

    Raises:
        OperationRefused: it can't be done now.
    """
    done: list[dict[str, Any]] = [] if rows is None else rows
    seen, plan = settled(to, decide, message, waits=not test)
    message(f"{plan.sentence}." + (f"\n  {plan.effect}" if plan.effect else ""))
    if test or not plan.members:
        return Done(seen, plan, done)
    agreed()
    own = tuple(member.ip for member in to.cluster.members)
    carriers = services.providers(topology, to.cluster) or own
    carry_out(to, seen, plan, message, carriers, done)
    if again is not None:
        now = look(to)
        more = again(now)
        if more.members:
            message(f"{more.sentence}.")
            carry_out(to, now, more, message, rows=done)
    return Done(seen, plan, done)


class _Run:
    """One operation under way."""

    def __init__(
        self, to: Access, snapshot: Snapshot, plan: Plan, say: Say, rows: list[dict[str, Any]]
    ) -> None:
        self.to, self.snapshot, self.plan, self.say, self.rows = to, snapshot, plan, say, rows

    def move_lead(self) -> list[dict[str, Any]]:
        """Hand the lead over, wait until the new leader serves and the old one follows."""
        (name,) = self.plan.members
        candidate = self.snapshot.member(name)
        old = self.snapshot.leader
        begin = time.monotonic()
        self.say(f"asking {name} to lead")
        order = threading.Thread(target=self._order, args=(candidate,), daemon=True)
        self._answer: str | ClientError | None = None
        order.start()
        probe = self.to.client(candidate.host)
        # A member that leads a standby cluster takes no writes: another question says so.
        path = "/standby-leader" if old and old.role == "standby_leader" else "/primary"

        def leads() -> bool:
            # Patroni's refusal ends the wait; its "yes" comes later than the truth.
            if isinstance(self._answer, ClientError) and not order.is_alive():
                raise self._answer
            try:
                return probe.healthy(path)
            except ClientError:
                return False

        progress.wait(leads, "patroni.leads", f"{name} leads")
        self._done(name, "leads", begin)
        order.join(DEADLINES["patroni.switchover"])
        if old is not None and old.name in self.snapshot.answering:
            self._await_streaming(old.name, "patroni.follows")
            self._done(old.name, "follows", begin)
        return self.rows

    def _order(self, candidate: Member) -> None:
        try:
            if self.plan.action == "switchover":
                leader = self.snapshot.member(self.plan.leader)
                client = self.to.client(leader.host, "patroni.switchover")
                self._answer = client.switchover(leader.name, candidate.name)
            else:
                client = self.to.client(candidate.host, "patroni.switchover")
                self._answer = client.failover(candidate.name)
        except ClientError as error:
            self._answer = error

    def restart(self) -> list[dict[str, Any]]:
        """Restart member after member; each is awaited before the next."""
        for name in self.plan.members:
            member = self.snapshot.member(name)
            begin = time.monotonic()
            self.say(f"{name} restarts")
            self.to.client(member.host, "patroni.restart").restart()
            if member.leader:
                self._await(
                    lambda host=member.host: self.to.client(host).status().running,  # type: ignore[misc]
                    "patroni.restart",
                    f"{name} serves again",
                )
                # They connect again, and learn of settings that the leader has lowered.
                for replica in self.snapshot.replicas:
                    if self.snapshot.healthy(replica):
                        self._await_streaming(replica.name, "patroni.follows")
            else:
                self._await_streaming(name, "patroni.restart")
            self._done(name, "restarted", begin)
        return self.rows

    def reload(self) -> list[dict[str, Any]]:
        """Reload all; that takes no turn."""
        for name in self.plan.members:
            begin = time.monotonic()
            self.to.client(self.snapshot.member(name).host).reload()
            self._done(name, "reloads", begin)
        return self.rows

    def reinit(self) -> list[dict[str, Any]]:
        """Begin the copy and wait for its end."""
        (name,) = self.plan.members
        begin = time.monotonic()
        self._copy(name)
        self._done(name, "copied", begin)
        return self.rows

    def _copy(self, name: str, above: Sequence[str] = ()) -> None:
        self.to.client(self.snapshot.member(name).host).reinitialize()
        self.say(f"{name} copies; Patroni goes on with it should this command end")
        # It streams until Patroni has stopped it: what counts is that it stopped, and came again.
        self._await(lambda: not self._streams(name, above), "patroni.switchover", f"{name} begins")
        self._await_streaming(name, "patroni.reinit", above)

    def pause(self) -> list[dict[str, Any]]:
        """Switch the maintenance mode and wait until every member knows."""
        on = self.plan.action == "pause"
        begin = time.monotonic()
        hosts = {name: self.snapshot.member(name).host for name in self.plan.members}
        self.to.client(next(iter(hosts.values()))).pause(on)
        for name, host in hosts.items():
            self._await(
                lambda host=host: self.to.client(host).status().paused is on,  # type: ignore[misc]
                "patroni.pause",
                f"{name} {'is paused' if on else 'acts again'}",
            )
            self._done(name, "paused" if on else "resumed", begin)
        return self.rows

    def promote(self) -> list[dict[str, Any]]:
        """End the following, wait until the leader takes writes and the others stream from it."""
        return self._stand(None, "/primary", "takes writes")

    def demote(self) -> list[dict[str, Any]]:
        """Follow the upstream of the inventory, wait until all members do."""
        return self._stand(self.plan.upstream, "/standby-leader", "follows its upstream")

    def _stand(
        self, upstream: Mapping[str, Any] | None, path: str, what: str
    ) -> list[dict[str, Any]]:
        begin = time.monotonic()
        first = self.snapshot.member(self.plan.leader)
        client = self.to.client(first.host)
        client.follow_cluster(upstream)
        # Whoever leads by then: a member that has to be rewound may lose the lead meanwhile.
        hosts = {member.name: member.host for member in self.snapshot.members}
        leads: list[str] = []

        def stands() -> bool:
            leads[:] = [name for name, host in hosts.items() if self._stands(host, path)]
            return bool(leads)

        self._await(stands, "patroni.stands", f"{self.plan.cluster} {what}")
        self._done(leads[0], what, begin)
        for name in hosts:
            if name != leads[0] and name in self.snapshot.answering:
                if upstream is None:
                    self._await_streaming(name, "patroni.stands")
                    self._done(name, "streams", begin)
                else:
                    self._done(name, self._rejoin(name, upstream["host"]), begin)
        return self.rows

    def _rejoin(self, name: str, upstream: str) -> str:
        """Wait until a replica follows its leader, which follows others now; return what it did.

        One that has what these never had is copied: Patroni rewinds a standby leader, from the
        primary above, and no replica of it.
        """
        above = upstream.split(",")
        try:
            self._await_streaming(name, "patroni.aligns", above)
        except CliError:
            self.say(f"{name} has what {upstream} never had: it copies")
            self._copy(name, above)
            return "copied"
        return "streams"

    def _stands(self, host: str, path: str) -> bool:
        """Whether a member leads as it shall, with PostgreSQL in that role."""
        try:
            client = self.to.client(host)
            if not client.healthy(path):
                return False
            status = client.status()
        except ClientError:
            return False
        if path == "/primary":
            return status.running and status.role == "primary"
        return status.role == "standby_leader" and status.replication == "streaming"

    def _await_streaming(self, name: str, deadline: str, above: Sequence[str] = ()) -> None:
        self._await(lambda: self._streams(name, above), deadline, f"{name} follows the leader")

    def _streams(self, name: str, above: Sequence[str] = ()) -> bool:
        """Whether a replica runs on the leader's timeline, by its own word and the leader's.

        Where its cluster follows the hosts ``above``, by their word as well: the store learns late
        of the leader's new timeline, and a replica that can't go there streams on the old one.
        """
        client = self.to.client(self.snapshot.member(name).host)
        status, leader = client.status(), client.cluster().leader
        return (
            status.running
            and not status.leader
            and status.replication in ("streaming", "in archive recovery")
            and leader is not None
            and leader.name != name
            and status.timeline == leader.timeline
            and self._is_level(status.timeline, above)
        )

    def _is_level(self, timeline: int | None, above: Sequence[str]) -> bool:
        known = set()
        for host in above:
            with suppress(ClientError):
                known.add(self.to.client(host).status().timeline)
        return not known or timeline in known

    def _await(self, condition: Callable[[], bool], deadline: str, what: str) -> None:
        last: list[ClientError] = []

        def holds() -> bool:
            try:
                return condition()
            except ClientError as error:
                last[:] = [error]
                return False

        try:
            progress.wait(holds, deadline, what)
        except DeadlineExceeded as error:
            raise CliError(f"{error}" + (f"; last: {last[0]}" if last else "")) from error

    def _done(self, member: str, what: str, begin: float) -> None:
        seconds = round(time.monotonic() - begin, 1)
        self.rows.append({"member": member, "done": what, "seconds": seconds})
        self.say(f"{member} {what} ({seconds} s)")
