"""Steps of a restore on one machine. Each looks whether it may, acts, and looks again.

`pigsty pgsql restore` calls them one after the other; each ends within its deadline.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from salt.exceptions import CommandExecutionError

from pigsty import backups, dcs, room, stages
from pigsty.clients import cluster_keys
from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until
from pigsty.errors import ClientError
from pigsty.render import restore
from pigsty.render.pgbackrest import GROUP
from pigsty.sql import session
from pigsty.sql import window as measuring

__virtualname__ = "pigsty_restore"

#: So much of the end of a server's log tells what it does now.
_TAIL = 4096


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def side(
    target: dict[str, Any],
    label: str,
    port: int = 0,
    timeline: str = "",
    source: bool = False,
) -> dict[str, Any]:
    """Restore beside the live cluster and start what was restored; return how far it came.

    Args:
        target: the fields of a :class:`pigsty.backups.Target`.
        label: the backup to begin with.
        port: where it listens; 0 for a drill's copy, which listens nowhere.
        timeline: the timeline to follow, the newest by default.
        source: whether the backup is that of the cluster that ``pg_pitr`` names.

    Raises:
        CommandExecutionError: there is a copy already, no space, or it didn't come up; then
            nothing of it is left.

    CLI Example: called by `pigsty pgsql restore --side`.
    """
    copy = restore.side(_spec(), port) if port else restore.drill(_spec())
    folder = Path(copy.data).parent
    if not port:
        remove(drill=True)  # one that was cut off left it
    if folder.exists():
        raise CommandExecutionError(f"there is a copy already in {folder}: remove it first")
    _look_for_room(folder.parent, label, source)
    user = pwd.getpwnam(_spec()["params"]["pg_dbsu"])
    for path in (folder, Path(copy.data), Path(f"{copy.data}.tablespaces")):
        path.mkdir(mode=0o700)
        shutil.chown(path, user.pw_uid, GROUP)
    try:
        if source:
            _configure(Path(copy.config))
        _restore(copy, backups.Target(**target), label, timeline, source)
        return _recover(copy)
    except CommandExecutionError:
        # What didn't come up shows nothing, and would be in the way of the next one.
        remove(drill=not port)
        raise


def remove(drill: bool = False) -> dict[str, Any]:
    """Stop the copy beside the live cluster and delete it; without one, nothing is done.

    Args:
        drill: the one that a drill made, instead of a person's.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_restore.remove
    """
    copy = restore.drill(_spec()) if drill else restore.side(_spec(), 0)
    folder = Path(copy.data).parent
    _stop(copy)
    existed = folder.exists()
    if existed:
        __salt__["pigsty_work.tell"](f"deletes {folder}")
        shutil.rmtree(folder)
    return {"removed": str(folder) if existed else None}


def window(target: dict[str, Any], backup: dict[str, Any]) -> dict[str, Any]:
    """Measure on the live leader what a restore to a point would undo.

    Args:
        target: the fields of a :class:`pigsty.backups.Target`.
        backup: the one that it begins with, as :meth:`pigsty.backups.Backup.to_dict` gives it.

    Returns:
        The fields of a :class:`pigsty.pitr.Loss`.

    CLI Example: called by `pigsty pgsql pitr`.
    """
    params = _spec()["params"]
    server = session.Server(params["pg_localhost"], int(params["pg_port"]), params["pg_dbsu"])
    try:
        with server.impersonated(), server.connect("postgres") as connection:
            found = measuring.measure(connection, backups.Target(**target), backup)
    except (psycopg.Error, ClientError) as err:
        raise CommandExecutionError(str(err)) from err
    return dataclasses.asdict(found)


def committed(xid: str) -> dict[str, Any]:
    """Return when a transaction committed, as the live leader remembers it.

    Args:
        xid: its number.

    Returns:
        ``at`` (seconds since 1970, None where the leader doesn't know), ``problem`` (why there can
        be no restore to it, "" if there can).

    CLI Example: called by `pigsty pgsql restore` and `pitr`.
    """
    params = _spec()["params"]
    server = session.Server(params["pg_localhost"], int(params["pg_port"]), params["pg_dbsu"])
    try:
        with server.impersonated(), server.connect("postgres") as connection:
            return {"at": measuring.committed(connection, xid), "problem": ""}
    except backups.TargetError as err:
        return {"at": None, "problem": str(err)}
    except (psycopg.Error, ClientError) as err:
        raise CommandExecutionError(str(err)) from err


def lacks(size: int) -> dict[str, Any]:
    """Tell whether a backup has room in the place of this member's data.

    Args:
        size: bytes of the database in the backup.

    Returns:
        ``problem``: why it hasn't, "" if it may have.

    CLI Example: called by `pigsty pgsql pitr`.
    """
    data = Path(_spec()["params"]["pg_data"])
    places = [data, *_tablespaces(data)]
    disks = {}
    for path in places:
        # Of data that an earlier restore has thrown away, the folder above is left.
        there = next(folder for folder in (path, *path.parents) if folder.exists())
        disks[there.stat().st_dev] = shutil.disk_usage(there).free
    own = sum(map(_taken, places))
    return {"problem": room.place(str(data), size, sum(disks.values()), own)}


def canary(write: bool = False) -> dict[str, Any]:
    """Write a row that a drill looks for on the live leader, or read it from the copy.

    CLI Example: called by `pigsty pgsql drill`.
    """
    spec = _spec()
    params = spec["params"]
    server = _server(restore.drill(spec))
    if write:
        server = session.Server(params["pg_localhost"], int(params["pg_port"]), params["pg_dbsu"])
    try:
        with server.impersonated(), server.connect("postgres") as connection:
            if write:
                connection.execute("CREATE SCHEMA IF NOT EXISTS monitor")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS monitor.canary "
                    "(id int PRIMARY KEY, written timestamptz NOT NULL)"
                )
                connection.execute(
                    "INSERT INTO monitor.canary VALUES (1, clock_timestamp()) "
                    "ON CONFLICT (id) DO UPDATE SET written = excluded.written"
                )
            row = connection.execute("SELECT written::text FROM monitor.canary").fetchone()
    except (psycopg.Error, ClientError) as err:
        raise CommandExecutionError(str(err)) from err
    return {"written": row[0] if row else None}


def halt() -> dict[str, Any]:
    """Stop Patroni and PostgreSQL of this member, while the cluster is paused.

    Raises:
        CommandExecutionError: the cluster isn't paused, or something doesn't stop.

    CLI Example: called by `pigsty pgsql restore`.
    """
    spec = _spec()
    params, unit = spec["params"], spec["platform"]["patroni_unit"]
    if __salt__["pigsty_systemd.show"](unit)[unit]["ActiveState"] == "active":
        if not __salt__["pigsty_patroni.status"]()["paused"]:
            raise CommandExecutionError("the cluster isn't paused: nothing was stopped")
        __salt__["pigsty_work.tell"]("stops Patroni")
        __salt__["pigsty_systemd.act"]("stop", unit)
    _stop(restore.place(spec))
    if Path(params["pg_data"], "postmaster.pid").exists():
        limit = f"{DEADLINES['restore.stop']:.0f}"
        __salt__["pigsty_work.tell"]("stops PostgreSQL, which writes its last checkpoint")
        _program("pg_ctl", "stop", "-D", params["pg_data"], "-m", "fast", "-w", "-t", limit)
    return {"stopped": True}


def fill(target: dict[str, Any], label: str, timeline: str = "") -> dict[str, Any]:
    """Put the files of a backup in the place of this member's data.

    Raises:
        CommandExecutionError: Patroni or PostgreSQL still runs here, or pgBackRest failed.

    CLI Example: called by `pigsty pgsql restore`.
    """
    _stands_still()
    _restore(restore.place(_spec()), backups.Target(**target), label, timeline)
    return {"restored": label}


def recover() -> dict[str, Any]:
    """Replay WAL up to the target, promote, and stop again: nobody can connect meanwhile.

    Raises:
        CommandExecutionError: recovery failed; the text holds the server's own last words.

    CLI Example: called by `pigsty pgsql restore`.
    """
    _stands_still()
    copy = restore.place(_spec())
    found = _recover(copy)
    _stop(copy)
    return found


def forget() -> dict[str, Any]:
    """Remove from the store what Patroni knows of the last leader; the configuration stays.

    Raises:
        CommandExecutionError: Patroni runs here, or the store doesn't answer.

    CLI Example: called by `pigsty pgsql restore`.
    """
    _stands_still()
    store, prefix = cluster_keys.own(_spec())
    try:
        cluster_keys.forget_leader(store, prefix)
    except ClientError as err:
        raise CommandExecutionError(str(err)) from err
    return {"forgotten": list(dcs.LEADERSHIP)}


def serve(empty: bool = False) -> dict[str, Any]:
    """Start Patroni again.

    Args:
        empty: throw this replica's data away first, so that it is copied from the leader.

    CLI Example: called by `pigsty pgsql restore`.
    """
    spec = _spec()
    if empty:
        _stands_still()
        __salt__["pigsty_work.tell"]("deletes its old data")
        _empty(Path(spec["params"]["pg_data"]))
    __salt__["pigsty_systemd.act"]("start", spec["platform"]["patroni_unit"])
    return {"started": True}


def _empty(data: Path) -> None:
    """Delete a data directory, and what its tablespaces hold elsewhere."""
    for folder in _tablespaces(data):
        shutil.rmtree(folder)
    if data.exists():
        shutil.rmtree(data)


def _tablespaces(data: Path) -> list[Path]:
    """Return where a data directory keeps files of its own elsewhere."""
    links = data / "pg_tblspc"
    # Each server keeps its files in a folder of its own version.
    return [f for link in (links.iterdir() if links.is_dir() else ()) for f in link.glob("PG_*")]


def _taken(folder: Path) -> int:
    """Return the bytes of disk that a folder's files take; a live server's come and go."""
    taken = 0
    for parent, _folders, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                taken += Path(parent, name).lstat().st_blocks * 512
    return taken


def _restore(
    copy: restore.Copy, target: backups.Target, label: str, timeline: str, source: bool = False
) -> None:
    config = copy.config if source else ""
    stanza = __salt__["pigsty_pgbackrest.stanza"](source)
    command = restore.restore(copy, stanza, target, label, timeline, config)
    __salt__["pigsty_pgbackrest.execute"](command, "restore.files", stanza, config)


def _configure(path: Path) -> None:
    """Write how another cluster's backups are read; it is gone with the copy that needs it."""
    __salt__["pigsty_file.converge"](__salt__["pigsty_pgbackrest.foreign"](str(path)))


def _recover(copy: restore.Copy) -> dict[str, Any]:
    """Start a copy and wait until it has been promoted."""
    spec = _spec()
    log = Path(copy.log)
    log.unlink(missing_ok=True)
    settings = restore.controls(_program("pg_controldata", "-D", copy.data).splitlines())
    __salt__["pigsty_command.run"](restore.start(copy, spec, settings), "node.systemctl")
    server = _server(copy)

    def promoted() -> bool:
        state = __salt__["pigsty_systemd.show"](copy.unit)[copy.unit]["ActiveState"]
        if state not in ("active", "activating"):
            raise CommandExecutionError(f"the restored server ended: {_last_words(log)}")
        row = None
        # Before its files agree with each other it takes no connection.
        with (
            suppress(psycopg.Error, ClientError),
            server.impersonated(),
            server.connect("postgres") as connection,
        ):
            row = connection.execute(
                "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text, "
                "pg_last_xact_replay_timestamp()::text"
            ).fetchone()
        if row is not None and row[0] is False:
            return True
        stage = stages.replay(row[1] if row else None, row[2] if row else None, _tail(log))
        __salt__["pigsty_work.tell"](**stage.to_dict())
        return False

    try:
        wait_until(promoted, "restore.recovery", "recovery reaches its target")
        with server.impersonated(), server.connect("postgres") as connection:
            row = connection.execute(
                "SELECT timeline_id, pg_current_wal_lsn()::text FROM pg_control_checkpoint()"
            ).fetchone()
            last = connection.execute(
                "SELECT max(timestamp)::text FROM pg_last_committed_xact()"
            ).fetchone()
    except DeadlineExceeded as err:
        raise CommandExecutionError(f"{err}: {_last_words(log)}") from err
    except (psycopg.Error, ClientError) as err:
        raise CommandExecutionError(str(err)) from err
    return {
        "timeline": row[0] if row else None,
        "lsn": row[1] if row else None,
        "last_commit": last[0] if last else None,
        "data": copy.data,
        "socket": copy.socket,
        "port": copy.port,
    }


def _stop(copy: restore.Copy) -> None:
    if __salt__["pigsty_systemd.show"](copy.unit)[copy.unit]["LoadState"] == "loaded":
        __salt__["pigsty_work.tell"]("stops the restored server")
        __salt__["pigsty_command.run"](["systemctl", "stop", copy.unit], "restore.stop")


def _stands_still() -> None:
    """Refuse while Patroni or a server works on the data."""
    spec = _spec()
    unit = spec["platform"]["patroni_unit"]
    if __salt__["pigsty_systemd.show"](unit)[unit]["ActiveState"] not in ("inactive", "failed"):
        raise CommandExecutionError("Patroni runs here: nothing was done")
    if Path(spec["params"]["pg_data"], "postmaster.pid").exists():
        raise CommandExecutionError("PostgreSQL runs here (postmaster.pid): nothing was done")


def _look_for_room(folder: Path, label: str, source: bool) -> None:
    stanza = __salt__["pigsty_pgbackrest.stanza"](source)
    found = backups.parse(__salt__["pigsty_pgbackrest.info"](source), stanza)
    size = next((backup.size for backup in found.backups if backup.label == label), None)
    if size is None:
        raise CommandExecutionError(f"the repository of this member has no backup {label}")
    if problem := room.copy(str(folder), size, shutil.disk_usage(folder).free):
        raise CommandExecutionError(f"{problem}: nothing was done")


def _program(name: str, *arguments: str) -> str:
    """Run a program of PostgreSQL's as its superuser."""
    params = _spec()["params"]
    command = [f"{params['pg_bin_dir']}/{name}", *arguments]
    user = params["pg_dbsu"]
    said: str = __salt__["pigsty_command.answer"](command, user, GROUP, "restore.stop")
    return said


def _tail(log: Path) -> str:
    """Return the end of a server's log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return f"see {log}"
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return (fatal or lines or [f"{log} is empty"])[-1]


def _server(copy: restore.Copy) -> session.Server:
    return session.Server(socket=copy.socket, port=copy.port, dbsu=_spec()["params"]["pg_dbsu"])


def _spec() -> dict[str, Any]:
    spec: dict[str, Any] = __pillar__["pigsty"]["pgsql"]
    return spec
