"""A restore, step by step, each in sight and with its deadline; and the drill."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pigsty import backups
from pigsty.deadlines import DeadlineExceeded, wait_until
from pigsty.errors import ClientError, PigstyError
from pigsty.topology import PgCluster
from pigsty_cli import access, deployment, exitcodes, lock, remote
from pigsty_cli.commands.pgsql_backup import declared, leader, ticker
from pigsty_cli.commands.pgsql_operations import CA, KEY, confirm
from pigsty_cli.errors import CliError, Refused, UsageError
from pigsty_cli.output import message
from pigsty_cli.saltapi import Master

Row = dict[str, Any]


@dataclass
class Restore:
    """A restore of one cluster.

    Attributes:
        master: the Salt master.
        cluster: as the inventory declares it.
        host: the machine whose repository and data are used: the leader's.
        target: where to.
        timeline: the timeline to follow, "" for the newest.
    """

    master: Master
    cluster: PgCluster
    host: str
    target: backups.Target
    timeline: str = ""

    def begin(self, label: str) -> tuple[backups.Backup, float]:
        """Return the backup to begin with and the leader's clock, or refuse.

        Raises:
            Refused: the point can't be restored to.
        """
        found = self.call(self.host, "pigsty_pgbackrest.look", "backup.info")
        repository = backups.parse(found["info"], self.cluster.name)
        try:
            return backups.choose(repository, self.target, found["now"], label), found["now"]
        except backups.TargetError as error:
            raise Refused(f"{error}: nothing was touched") from error

    def call(self, host: str, function: str, deadline: str, what: str = "", **words: Any) -> Row:
        """Call a function on a minion; with ``what`` in sight."""
        begin = time.monotonic()
        tick = ticker(what) if what else lambda _: None
        found = remote.call(self.master, host, function, words, deadline=deadline, tick=tick)
        if what:
            message(f"{what}: done in {time.monotonic() - begin:.1f} s")
        return found

    def aside(self, backup: backups.Backup, port: int) -> Row:
        """Restore beside the live cluster; return where it listens and how far it came."""
        self._flush()
        found = self.call(
            self.host,
            "pigsty_restore.side",
            "restore.files",
            f"restore to {self.target.text} beside {self.cluster.name} on {self.host}",
            kind=self.target.kind,
            value=self.target.value,
            label=backup.label,
            port=port,
            timeline=self._along(backup),
        )
        return {"host": self.host, **found}

    def in_place(self, backup: backups.Backup, *, again: bool = False) -> Row:
        """Bring the cluster back to the point.

        Args:
            backup: the backup to begin with.
            again: an earlier run was cut off, so PostgreSQL can't be asked for anything.

        Raises:
            CliError: a step failed; the text says what state that leaves.
        """
        others = [member.ip for member in self.cluster.members if member.ip != self.host]
        to = access.of(self.cluster, KEY, CA)
        step = "pause"
        try:
            if not again:
                self._flush()
                self._pause(to, (*others, self.host))
            step = "stop"
            for host in (*others, self.host):
                self.call(host, "pigsty_restore.halt", "restore.stop", f"stop {host}")
            step = "restore"
            self.call(
                self.host,
                "pigsty_restore.fill",
                "restore.files",
                f"restore backup {backup.label} on {self.host}",
                kind=self.target.kind,
                value=self.target.value,
                label=backup.label,
                timeline=self._along(backup),
            )
            step = "recovery"
            what = f"replay WAL to {self.target.text}"
            found = self.call(self.host, "pigsty_restore.recover", "restore.recovery", what)
            step = "start"
            self.call(self.host, "pigsty_restore.forget", "etcd.request", "forget the last leader")
            self.call(self.host, "pigsty_restore.serve", "node.systemctl", f"start {self.host}")
            self._await(lambda: self._resumed(to), "patroni.rest", "Patroni answers")
            what = f"{self.host} leads again"
            self._await(lambda: to.client(self.host).status().leader, "patroni.primary", what)
            message(what)
            step = "replicas"
            for host in others:
                what = f"start {host} without data"
                self.call(host, "pigsty_restore.serve", "restore.stop", what, empty=True)
            for host in others:
                self._follow(to, host)
            step = "backup"
            self.call(
                self.host,
                "pigsty_pgbackrest.backup",
                "backup.run",
                f"full backup of {self.cluster.name}",
                kind="full",
            )
        except (PigstyError, KeyboardInterrupt) as error:
            # What a minion has begun goes on without us.
            cut = isinstance(error, KeyboardInterrupt)
            reason = "interrupted" if cut else str(error)
            code = exitcodes.INTERRUPTED if cut else exitcodes.FAILED
            raise CliError(f"{reason}\n{self._after(step)}", code) from error
        return {"host": self.host, **found}

    def _flush(self) -> None:
        """Archive what there is, and stay on its timeline.

        An attempt that is cut off leaves a newer one, which ends at the point itself: recovery
        along that one would wait for a commit after the point that never comes.
        """
        what = "WAL so far is archived"
        found = self.call(self.host, "pigsty_pgbackrest.flush", "backup.check", what)
        self.timeline = self.timeline or str(int(found["wal"][:8], 16))

    def _along(self, backup: backups.Backup) -> str:
        """Return the timeline to follow as PostgreSQL wants it.

        For the backup's own it wants this word: the number would make it look for the timeline's
        history, which a repository that is younger than the timeline doesn't have.
        """
        own = backup.wal_begin[:8] or "0"
        return "current" if self.timeline == str(int(own, 16)) else self.timeline

    def _pause(self, to: access.Access, hosts: Sequence[str]) -> None:
        to.client(self.host).pause(True)
        self._await(
            lambda: all(to.client(host).status().paused for host in hosts),
            "patroni.rest",
            "every Patroni knows of the pause",
        )

    def _follow(self, to: access.Access, host: str) -> None:
        what = f"{host} follows"
        self._await(lambda: self._follows(to, host), "restore.replica", what)
        message(what)

    def _resumed(self, to: access.Access) -> bool:
        to.client(self.host).pause(False)
        return True

    def _follows(self, to: access.Access, host: str) -> bool:
        status = to.client(host).status()
        return status.running and status.replication == "streaming"

    def _after(self, step: str) -> str:
        """Return what a person has to know of a restore that stopped in the middle."""
        cluster, host = self.cluster.name, self.host
        if step == "pause":
            return f"Nothing was stopped; `pigsty pgsql resume {cluster}` ends a pause."
        if step in ("stop", "restore", "recovery", "start"):
            more = f" --timeline {self.timeline}" if self.timeline else ""
            return (
                f"{cluster} is down, and Patroni is paused; the repository holds all of it. What "
                f"happened is in /pg/tmp/restore.log and /pg/log/pgbackrest of {host}. Go on with "
                f"the same command and `--again {host}{more}`, once what runs there has ended."
            )
        return (
            f"{cluster} serves what was restored. `pigsty pgsql list {cluster}` shows its members; "
            f"`pigsty pgsql backup {cluster} --type full` makes the backup that belongs to it."
        )

    def _await(self, look: Callable[[], bool], deadline: str, what: str) -> None:
        def holds() -> bool:
            try:
                return look()
            except ClientError:
                return False

        try:
            wait_until(holds, deadline, what)
        except DeadlineExceeded as error:
            raise CliError(str(error)) from error


def command(
    *,
    cluster: str,
    point: str | None,
    port: int | None,
    remove: bool,
    again: str | None,
    label: str,
    timeline: str,
    yes: bool,
    test: bool,
    inventory: str | None,
    output: str,
) -> tuple[list[Row], str]:
    """Carry out ``pigsty pgsql restore``; return rows to show and their format."""
    found = declared(cluster, inventory)
    if remove == bool(point):
        raise UsageError("say --to POINT, or --remove")
    if timeline and not timeline.isdigit():
        raise UsageError("--timeline takes a number")
    try:
        target = backups.target(point or "latest")
    except backups.TargetError as error:
        raise UsageError(str(error)) from error
    host = _machine(found, again) if again else leader(found)
    with lock.held(f"pigsty pgsql restore {cluster}"), Master() as master:
        run = Restore(master, found, host, target, timeline)
        for member in found.members if port is None and not remove else ():
            remote.refresh(master, member.ip)
        remote.refresh(master, host)
        if remove:
            gone = run.call(host, "pigsty_restore.remove", "restore.stop", "remove the copy")
            message(f"removed {gone['removed']}" if gone["removed"] else "there was no copy")
            return [], output
        backup, now = run.begin(label)
        message(_preview(run, backup, now, port))
        if test:
            return [], output
        if port is not None:
            row = run.aside(backup, port)
            message(f"look at it: psql -p {port} on {host}; then `--remove`")
            return [row], output
        if not yes:
            confirm(cluster)
        return [run.in_place(backup, again=bool(again))], output


def drill(cluster: str, inventory: str | None) -> Row:
    """Carry out ``pigsty pgsql drill``; return what was proven.

    Raises:
        CliError: the row didn't come back, or a step failed.
    """
    found = declared(cluster, inventory)
    host = leader(found)
    begin = time.monotonic()
    with lock.held(f"pigsty pgsql drill {cluster}"), Master() as master:
        remote.refresh(master, host)
        run = Restore(master, found, host, backups.Target("latest"))
        backup, _ = run.begin("")
        written = run.call(host, "pigsty_restore.canary", "sql.lock", write=True)["written"]
        try:
            row = run.aside(backup, 0)
            came = run.call(host, "pigsty_restore.canary", "sql.lock")["written"]
        finally:
            run.call(host, "pigsty_restore.remove", "restore.stop", "remove the copy")
    if came != written:
        raise CliError(f"the row of {written} did not come back: the copy has that of {came}")
    return {
        "cluster": cluster,
        "host": host,
        "backup": backup.label,
        "written": written,
        "timeline": row["timeline"],
        "seconds": round(time.monotonic() - begin, 1),
    }


def _preview(run: Restore, backup: backups.Backup, now: float, port: int | None) -> str:
    where = "in place" if port is None else f"beside the live cluster, on port {port}"
    lines = [
        f"{run.cluster.name} is restored to {run.target.text}, {where}, on {run.host}",
        f"  from the {backup.kind} backup {backup.label} of {backups.moment(backup.end)}",
    ]
    if port is not None:
        return "\n".join([*lines, "  the live cluster goes on"])
    if run.target.kind == "time":
        since = f"everything between {run.target.value} and now ({backups.moment(now)})"
    elif run.target.kind == "latest":
        since = "nothing that was archived"
    elif run.target.kind == "immediate":
        since = f"everything after {backups.moment(backup.end)}"
    else:
        since = f"everything after {run.target.text}"
    others = len(run.cluster.members) - 1
    copied = f"; {others} of its members are copied anew" if others else ""
    lines.append(f"  undone: {since}; it stays in the archive")
    lines.append(f"  the cluster is down meanwhile{copied}")
    return "\n".join(lines)


def _machine(cluster: PgCluster, host: str) -> str:
    """Return the address of the member on which a restore goes on.

    Raises:
        Refused: it is no member, or the cluster has a leader.
    """
    found = [member.ip for member in cluster.members if host in (member.ip, member.name)]
    if not found:
        raise Refused(f"{host} is no member of {cluster.name}")
    for row in deployment.live_members([cluster])[cluster.name]:
        if row.role == "primary":
            raise Refused(
                f"{row.member} leads {cluster.name}: --again is for a cluster that is down"
            )
    return found[0]
