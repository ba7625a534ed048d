"""A restore beside the live cluster, and the drill: each step in sight and with its deadline."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from pigsty import backups, pitr
from pigsty.topology import PgCluster
from pigsty.wording import took
from pigsty_cli import drills, lock, progress, remote
from pigsty_cli.commands.pgsql_backup import declared, leader
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
        source: the cluster whose backups are taken, "" for its own.
    """

    master: Master
    cluster: PgCluster
    host: str
    target: backups.Target
    timeline: str = ""
    source: str = ""

    def begin(self, label: str) -> tuple[backups.Backup, float]:
        """Return the backup to begin with and the leader's clock, or refuse.

        Raises:
            Refused: the point can't be restored to.
        """
        foreign = bool(self.source)
        found = self.call(self.host, "pigsty_pgbackrest.look", "backup.info", source=foreign)
        repository = backups.parse(found["info"], self.source or self.cluster.name)
        at = self.committed()
        try:
            return backups.choose(repository, self.target, found["now"], label, at), found["now"]
        except backups.TargetError as error:
            raise Refused(f"{error}: nothing was touched") from error

    def committed(self) -> float | None:
        """Return when the transaction that is the point committed, where the leader can tell.

        Raises:
            Refused: there was no such transaction.
        """
        if self.target.kind != "xid" or self.source:
            return None
        xid = self.target.value
        found = self.call(self.host, "pigsty_restore.committed", "sql.statement", xid=xid)
        if found["problem"]:
            raise Refused(f"{found['problem']}: nothing was touched")
        at: float | None = found["at"]
        return at

    def call(self, host: str, function: str, deadline: str, what: str = "", **words: Any) -> Row:
        """Call a function on a minion; with ``what`` in sight."""
        if not what:
            return remote.call(self.master, host, function, words, deadline=deadline)
        begin = time.monotonic()
        with progress.waiting(what, host) as screen:
            found = remote.call(
                self.master, host, function, words, deadline=deadline, screen=screen
            )
        message(f"{what}: done in {took(time.monotonic() - begin)}")
        return found

    def aside(self, backup: backups.Backup, port: int) -> Row:
        """Restore beside the live cluster; return where it listens and how far it came."""
        if not self.source:
            self.flush()
        found = self.call(
            self.host,
            "pigsty_restore.side",
            "restore.files",
            f"restore to {self.target.text} beside {self.cluster.name} on {self.host}",
            target=asdict(self.target),
            label=backup.label,
            port=port,
            timeline=self.along(backup),
            source=bool(self.source),
        )
        return {"host": self.host, **found}

    def flush(self) -> None:
        """Archive what there is, and stay on its timeline.

        An attempt that is cut off leaves a newer one, which ends at the point itself: recovery
        along that one would wait for a commit after the point that never comes.
        """
        what = "WAL so far is archived"
        found = self.call(self.host, "pigsty_pgbackrest.flush", "backup.check", what)
        self.timeline = self.timeline or str(int(found["wal"][:8], 16))

    def along(self, backup: backups.Backup) -> str:
        """Return the timeline to follow as PostgreSQL wants it.

        For the backup's own it wants this word: the number would make it look for the timeline's
        history, which a repository that is younger than the timeline doesn't have.
        """
        own = backup.wal_begin[:8] or "0"
        return "current" if self.timeline == str(int(own, 16)) else self.timeline


def wanted(
    cluster: PgCluster, point: str | None, label: str, timeline: str, *, exclusive: bool
) -> pitr.Request:
    """Return what is asked for: on the command line, or else by ``pg_pitr`` of the inventory.

    Raises:
        UsageError: by neither, or it makes no sense.
    """
    if timeline and not timeline.isdigit():
        raise UsageError("--timeline takes a number")
    declared_ = cluster.vars["pg_pitr"]
    if not point and not declared_:
        raise UsageError("say --to POINT, or declare pg_pitr in the inventory")
    try:
        if not point:
            found = pitr.declared(declared_, cluster.name)
            return pitr.Request(
                found.source, found.target, label or found.label, timeline or found.timeline
            )
        target = backups.target(point)
        target = pitr.exclusive(target) if exclusive else target
    except backups.TargetError as error:
        raise UsageError(str(error)) from error
    return pitr.Request(cluster.name, target, label, timeline)


def command(
    *,
    cluster: str,
    point: str | None,
    port: int | None,
    remove: bool,
    exclusive: bool,
    label: str,
    timeline: str,
    test: bool,
    inventory: str | None,
    output: str,
) -> tuple[list[Row], str]:
    """Carry out ``pigsty pgsql restore``; return rows to show and their format."""
    found = declared(cluster, inventory)
    if remove == bool(port):
        more = f"; to bring {cluster} itself back: `pigsty pgsql pitr {cluster} --to …`"
        raise UsageError(f"say --side PORT, or --remove{'' if remove else more}")
    host = leader(found)
    with lock.held(f"pigsty pgsql restore {cluster}"), Master() as master:
        remote.refresh(master, host)
        if port is None:
            run = Restore(master, found, host, backups.Target("latest"))
            gone = run.call(host, "pigsty_restore.remove", "restore.stop", "remove the copy")
            message(f"removed {gone['removed']}" if gone["removed"] else "there was no copy")
            return [], output
        asked = wanted(found, point, label, timeline, exclusive=exclusive)
        source = "" if asked.source == cluster else asked.source
        run = Restore(master, found, host, asked.target, asked.timeline, source)
        backup, _ = run.begin(asked.label)
        message(
            f"{asked.source} is restored to {asked.target.text}, beside {cluster}, which goes on, "
            f"on port {port} of {host}\n{begins(backup)}"
        )
        if test:
            return [], output
        row = run.aside(backup, port)
        message(f"look at it: psql -p {port} on {host}; then `--remove`")
        return [row], output


def begins(backup: backups.Backup) -> str:
    """Return the line of a preview that says where a restore begins."""
    return f"  from the {backup.kind} backup {backup.label} of {backups.moment(backup.end)}"


def drill(cluster: str, inventory: str | None) -> Row:
    """Carry out ``pigsty pgsql drill``; return what was proven. Its outcome is written down.

    Raises:
        CliError: the row didn't come back, or a step failed.
    """
    found = declared(cluster, inventory)
    # One that has to leave the machines to another run proves nothing, and disproves nothing.
    with lock.held(f"pigsty pgsql drill {cluster}"):
        begin = time.monotonic()
        try:
            row = _drill(found)
        except Exception:
            drills.note(cluster, time.monotonic() - begin, proven=False)
            raise
        seconds = round(time.monotonic() - begin, 1)
        drills.note(cluster, seconds, proven=True)
    return {**row, "seconds": seconds}


def _drill(found: PgCluster) -> Row:
    cluster, host = found.name, leader(found)
    with Master() as master:
        remote.refresh(master, host)
        run = Restore(master, found, host, backups.Target("latest"))
        backup, _ = run.begin("")
        written = run.call(host, "pigsty_restore.canary", "sql.lock", write=True)["written"]
        try:
            row = run.aside(backup, 0)
            came = run.call(host, "pigsty_restore.canary", "sql.lock")["written"]
        finally:
            what = "remove the copy"
            run.call(host, "pigsty_restore.remove", "restore.stop", what, drill=True)
    if came != written:
        raise CliError(f"the row of {written} did not come back: the copy has that of {came}")
    return {
        "cluster": cluster,
        "host": host,
        "backup": backup.label,
        "written": written,
        "timeline": row["timeline"],
    }
