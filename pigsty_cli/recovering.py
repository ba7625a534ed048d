"""A recovery of a cluster to a point in time, in place: step by step, and again after a cut."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from pigsty import backups, pitr, sharding
from pigsty.deadlines import DeadlineExceeded
from pigsty.errors import ClientError, PigstyError
from pigsty.topology import PgCluster
from pigsty.wording import lasted
from pigsty_cli import access, attempts, deployment, exitcodes, lock, progress, remote, restoring
from pigsty_cli.attempts import STEPS, Attempt
from pigsty_cli.commands.pgsql_backup import declared, leader
from pigsty_cli.commands.pgsql_operations import CA, KEY, confirm
from pigsty_cli.errors import CliError, Refused, UsageError
from pigsty_cli.output import message
from pigsty_cli.restoring import Restore, Row
from pigsty_cli.saltapi import Master


@dataclass(kw_only=True)
class Recovery(Restore):
    """A recovery of one cluster in place.

    Attributes:
        to: how its members' Patronis are reached.
        dead: there is no leader that could be asked to archive what it has.
    """

    to: access.Access
    dead: bool

    def committed(self) -> float | None:
        """Return when the transaction committed, if there is a leader that could know."""
        return None if self.dead else super().committed()

    def look_for_room(self, backup: backups.Backup, step: str) -> None:
        """Refuse what would stop half-way on a full disk, while all of it still runs.

        Other members are copied anew when the cluster serves again: of those it is only told.

        Args:
            backup: the backup to begin with.
            step: where an earlier run was cut off.

        Raises:
            Refused: the machine that is restored has no room.
        """
        if STEPS.index(step) <= STEPS.index("recovery") and (lack := self._lack(self.host, backup)):
            raise Refused(f"{lack}: nothing was done")
        for host in self._others if STEPS.index(step) <= STEPS.index("replicas") else ():
            if lack := self._lack(host, backup):
                message(f"warning: {lack}: it can't be copied anew before there is room")

    def _lack(self, host: str, backup: backups.Backup) -> str:
        found = self.call(host, "pigsty_restore.lacks", "restore.room", size=backup.size)
        return f"{host}: {found['problem']}" if found["problem"] else ""

    def run(self, backup: backups.Backup, step: str = STEPS[0]) -> Row:
        """Bring the cluster back to the point.

        Args:
            backup: the backup to begin with.
            step: where an earlier run was cut off.

        Raises:
            CliError: a step failed; the text says what state that leaves.
        """
        # What comes before the replay is begun anew: each of these looks where it stands.
        begin = STEPS.index("stop" if step in ("restore", "recovery") else step)
        found: Row = {}
        for name in STEPS[begin:]:
            try:
                self._note(name, backup)
                found |= getattr(self, f"_{name}")(backup) or {}
            except (PigstyError, KeyboardInterrupt) as error:
                # What a minion has begun goes on without us.
                cut = isinstance(error, KeyboardInterrupt)
                reason = "interrupted" if cut else str(error)
                code = exitcodes.INTERRUPTED if cut else exitcodes.FAILED
                if name == STEPS[0]:
                    attempts.forget(self.cluster.name)
                raise CliError(f"{reason}\n{self._after(name)}", code) from error
        attempts.forget(self.cluster.name)
        return {"host": self.host, **found}

    @property
    def _others(self) -> list[str]:
        return [member.ip for member in self.cluster.members if member.ip != self.host]

    def _note(self, step: str, backup: backups.Backup) -> None:
        known = attempts.read(self.cluster.name)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        since = known.since if known and step != STEPS[0] else now
        attempts.write(
            Attempt(
                cluster=self.cluster.name,
                host=self.host,
                **asdict(self.target),
                label=backup.label,
                timeline=self.timeline,
                step=step,
                since=since,
                user=lock.user(),
            )
        )

    def _pause(self, _backup: backups.Backup) -> None:
        hosts = [host for host in (self.host, *self._others) if not self.dead or self._up(host)]
        if not self.dead:
            self.flush()
        if not hosts:
            return
        self.to.client(hosts[0]).pause(True)
        self._await(
            lambda: all(self.to.client(host).status().paused for host in hosts),
            "patroni.pause",
            "every Patroni knows of the pause",
        )

    def _stop(self, _backup: backups.Backup) -> None:
        for host in (*self._others, self.host):
            self.call(host, "pigsty_restore.halt", "restore.stop", f"stop {host}")

    def _restore(self, backup: backups.Backup) -> None:
        self.call(
            self.host,
            "pigsty_restore.fill",
            "restore.files",
            f"restore backup {backup.label} on {self.host}",
            target=asdict(self.target),
            label=backup.label,
            timeline=self.along(backup),
        )

    def _recovery(self, _backup: backups.Backup) -> Row:
        what = f"replay WAL to {self.target.text}"
        return self.call(self.host, "pigsty_restore.recover", "restore.recovery", what)

    def _start(self, _backup: backups.Backup) -> None:
        if not self._up(self.host):
            self.call(self.host, "pigsty_restore.forget", "etcd.request", "forget the last leader")
            self.call(self.host, "pigsty_restore.serve", "node.systemctl", f"start {self.host}")
        self._await(self._resumed, "patroni.rest", "Patroni answers")
        what = f"{self.host} leads again"
        self._await(lambda: self.to.client(self.host).status().leader, "patroni.primary", what)
        message(what)

    def _replicas(self, _backup: backups.Backup) -> None:
        for host in self._others:
            if not self._up(host):
                what = f"start {host} without data"
                self.call(host, "pigsty_restore.serve", "restore.stop", what, empty=True)
        for host in self._others:
            what = f"{host} follows"
            self._await(lambda host=host: self._follows(host), "restore.replica", what)  # type: ignore[misc]
            message(what)

    def _backup(self, _backup: backups.Backup) -> None:
        what = f"full backup of {self.cluster.name}"
        self.call(self.host, "pigsty_pgbackrest.backup", "backup.run", what, kind="full")

    def _up(self, host: str) -> bool:
        """Whether a member's Patroni answers."""
        try:
            self.to.client(host).status()
        except ClientError:
            return False
        return True

    def _resumed(self) -> bool:
        self.to.client(self.host).pause(False)
        return True

    def _follows(self, host: str) -> bool:
        status = self.to.client(host).status()
        return status.running and status.replication == "streaming"

    def _after(self, step: str) -> str:
        """Return what a person has to know of a recovery that stopped in the middle."""
        cluster, host = self.cluster.name, self.host
        if step == "pause":
            return f"Nothing was stopped; `pigsty pgsql resume {cluster}` ends a pause."
        again = f"`pigsty pgsql pitr {cluster} --again` goes on, once what runs there has ended."
        if step in ("stop", "restore", "recovery", "start"):
            return (
                f"{cluster} is down, and Patroni is paused; the repository holds all of it. What "
                f"happened is in /pg/tmp/restore.log and /pg/log/pgbackrest of {host}. {again}"
            )
        return f"{cluster} serves what was restored, on {host} at least. {again}"

    def _await(self, look: Callable[[], bool], deadline: str, what: str) -> None:
        def holds() -> bool:
            try:
                return look()
            except ClientError:
                return False

        try:
            progress.wait(holds, deadline, what)
        except DeadlineExceeded as error:
            raise CliError(str(error)) from error


def command(
    *,
    cluster: str,
    point: str | None,
    again: bool,
    on: str | None,
    exclusive: bool,
    label: str,
    timeline: str,
    yes: bool,
    test: bool,
    inventory: str | None,
    output: str,
) -> tuple[list[Row], str]:
    """Carry out ``pigsty pgsql pitr``; return rows to show and their format."""
    found = declared(cluster, inventory)
    cut = attempts.read(cluster)
    if again and (cut is None or on):
        raise Refused(
            f"no recovery of {cluster} was cut off here" if cut is None else "--again knows where"
        )
    if cut is not None and cut.touched and not again:
        raise Refused(cut.text)
    asked = _asked(found, cut if again else None, point, label, timeline, exclusive=exclusive)
    if asked.source != cluster:
        raise Refused(
            f"{cluster} itself isn't replaced by {asked.source}: look at it with `pigsty pgsql "
            f"restore {cluster} --side PORT`, and copy what you need"
        )
    group = sharding.group(found)
    if group and asked.target.kind != "latest":
        raise Refused(
            f"{cluster} is group {group.number} of the Citus cluster {group.shard}: in the past "
            "alone it would not fit the other groups. `--to latest` is possible; for the past, "
            f"look at a copy with `pigsty pgsql restore {cluster} --side PORT`"
        )
    host = cut.host if again and cut else _machine(found, on) if on else leader(found)
    with lock.held(f"pigsty pgsql pitr {cluster}"), Master() as master:
        step = cut.step if again and cut else STEPS[0]
        dead = bool(on) or step != STEPS[0]
        to = access.of(found, KEY, CA)
        run = Recovery(master, found, host, asked.target, asked.timeline, to=to, dead=dead)
        for member in found.members:
            remote.refresh(master, member.ip)
        backup, now = run.begin(asked.label)
        run.look_for_room(backup, step)
        message(_preview(run, backup, now, step))
        if test:
            return [], output
        if not yes:
            confirm(cluster)
        begin = time.monotonic()
        row = run.run(backup, step)
        message(f"{cluster} is back, after {lasted(time.monotonic() - begin)}")
        return [row], output


def _asked(
    cluster: PgCluster,
    cut: Attempt | None,
    point: str | None,
    label: str,
    timeline: str,
    *,
    exclusive: bool,
) -> pitr.Request:
    """Return where to; a recovery that goes on keeps what isn't said anew."""
    if cut is None:
        return restoring.wanted(cluster, point, label, timeline, exclusive=exclusive)
    if point is None:
        return pitr.Request(cluster.name, cut.target, label or cut.label, timeline or cut.timeline)
    if STEPS.index(cut.step) >= STEPS.index("start"):
        raise UsageError(f"WAL was replayed to {cut.target.text} already: leave --to out")
    found = restoring.wanted(cluster, point, label, timeline, exclusive=exclusive)
    return replace(found, timeline=found.timeline or cut.timeline)


def _preview(run: Recovery, backup: backups.Backup, now: float, step: str) -> str:
    lines = [
        f"{run.cluster.name} is restored to {run.target.text}, in place, on {run.host}",
        restoring.begins(backup),
    ]
    if step != STEPS[0]:
        lines.append(f"  it goes on with step `{step}`")
    elif run.dead:
        lines.append("  nobody leads: what was not archived is lost")
    else:
        measured = run.call(
            run.host,
            "pigsty_restore.window",
            "sql.statement",
            target=asdict(run.target),
            backup=backup.to_dict(),
        )
        loss = pitr.Loss(**measured)
        lines.append(f"  undone, until {backups.moment(now)}: {loss.text}; it stays in the archive")
    others = len(run.cluster.members) - 1
    copied = f"; {others} of its members are copied anew" if others else ""
    lines.append(f"  the cluster is down meanwhile{copied}; a full backup follows")
    return "\n".join(lines)


def _machine(cluster: PgCluster, host: str) -> str:
    """Return the address of the member on which a cluster without a leader is restored.

    Raises:
        Refused: it is no member, or the cluster has a leader.
    """
    found = [member.ip for member in cluster.members if host in (member.ip, member.name)]
    if not found:
        raise Refused(f"{host} is no member of {cluster.name}")
    for row in deployment.live_members([cluster])[cluster.name]:
        if row.role == "primary":
            raise Refused(f"{row.member} leads {cluster.name}: --on is for one without a leader")
    return found[0]
