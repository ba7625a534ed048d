"""Steps of removing this machine's PostgreSQL member, all by the record that the member left.

They need no pillar: the host may be out of the inventory already.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from salt.exceptions import CommandExecutionError

from pigsty import backups
from pigsty.clients.patroni import CA, Patroni
from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until
from pigsty.errors import ClientError
from pigsty.render import haproxy, record
from pigsty.render.files import File
from pigsty.render.pgbackrest import CONFIG, CRONTAB
from pigsty.render.record import Record
from pigsty.sql import session
from pigsty.wording import counted

__virtualname__ = "pigsty_removal"

#: Units that a member may have, besides Patroni and PgBouncer.
EXTRAS = ("vip-manager.service",)


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def trace() -> dict[str, Any] | None:
    """Return whose member lives on this machine, or None.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_removal.trace
    """
    found = _record()
    if found is None:
        return None
    return {
        "cluster": found.cluster,
        "instance": found.instance,
        "safeguard": found.safeguard,
        "remove_data": found.remove_data,
        "remove_backup": found.remove_backup,
        "remove_packages": found.remove_packages,
        "shard": found.shard,
        "store": found.store,
    }


def measure() -> dict[str, Any]:
    """Return what would be lost with this member: bytes, databases, slots, clients, backups.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_removal.measure
    """
    own = _record()
    if own is None:
        raise CommandExecutionError(f"no PostgreSQL member lives here ({record.PATH} is missing)")
    repository = _repository(own)
    found: dict[str, Any] = {
        "instance": own.instance,
        "data": own.main,
        "data_bytes": sum(map(_size, _data_folders(own))),
        "repository": own.repository,
        "repository_bytes": _size(Path(own.repository)) if own.repository else 0,
        "backups": [b.label for b in repository.backups] if repository else [],
        "databases": [],
        "slots": [],
        "clients": 0,
    }
    return found | _server(own)


def of(instance: str) -> Record | None:
    """Return the record of a member here, None once nothing is left of it.

    Args:
        instance: the member that is meant.

    Raises:
        CommandExecutionError: another one lives here.

    CLI Example: called by states.
    """
    found = _record()
    if found is not None and found.instance != instance:
        raise CommandExecutionError(f"{found.instance} lives here, and not {instance}")
    return found


def packages(instance: str) -> list[str]:
    """Return the packages that were installed for a member, none once it is forgotten.

    CLI Example: called by states.
    """
    found = of(instance)
    return list(found.packages) if found else []


def leads(own: Record) -> bool:
    """Return whether this member leads its cluster now; a Patroni that is silent leads nobody.

    CLI Example: called by states.
    """
    ca = CA if own.patroni_tls else None
    try:
        return Patroni(own.ip, own.patroni_port, ca=ca).status().leader
    except ClientError:
        return False


def routes(own: Record) -> list[File]:
    """Return HAProxy's files of the member's cluster on this machine, as they shall be: gone.

    CLI Example: called by states.
    """
    present = __salt__["pigsty_haproxy.present"]()
    names = haproxy.stale(present, (), "pgsql", own.services)
    return [File(f"{haproxy.SERVICES}/{name}", None) for name in names]


def units(own: Record) -> dict[str, Any]:
    """Return what it takes to have the member's units stopped and disabled, clients' first.

    CLI Example: called by states.
    """
    names = (*EXTRAS, own.pgbouncer_unit, own.patroni_unit)
    status = __salt__["pigsty_systemd.show"](*names)
    found: dict[str, Any] = {}
    for name in names:
        if status[name].get("LoadState") == "loaded":
            found |= __salt__["pigsty_systemd.plan"](name, status[name], running=False)
    return found


def halt(own: Record, planned: dict[str, Any]) -> None:
    """Stop and disable units, and see PostgreSQL itself stopped; nothing is killed.

    Raises:
        CommandExecutionError: something doesn't stop.

    CLI Example: called by states.
    """
    for unit, change in planned.items():
        if "enabled" in change:
            __salt__["pigsty_systemd.act"]("disable", unit)
        if "active" not in change:
            continue
        # The last checkpoint of a large server takes its time: it is waited for under our deadline.
        __salt__["pigsty_systemd.act"]("stop", "--no-block", unit)
        _await(lambda unit=unit: _stopped(unit), f"{unit} stops")  # type: ignore[misc]
    if postmaster(own):
        # Patroni was killed, or paused: its server goes on without it.
        command = [f"{own.programs}/pg_ctl", "stop", "-D", own.data, "-m", "fast", "-W"]
        __salt__["pigsty_command.run"](["runuser", "-u", own.user, "--", *command])
        _await(lambda: not postmaster(own), "PostgreSQL stops")


def postmaster(own: Record) -> bool:
    """Return whether a server runs on the member's data.

    CLI Example: called by states.
    """
    try:
        pid = int(Path(own.data, "postmaster.pid").read_text().split()[0])
        return Path(f"/proc/{pid}").exists()
    except (OSError, ValueError, IndexError):
        return False


def files(own: Record) -> list[File]:
    """Return the member's files outside its own folders, as they shall be: gone.

    CLI Example: called by states.
    """
    names = ("server.crt", "server.key", "ca.crt")
    own_certificates = [
        File(f"{own.certificates}/{name}", None, secret=name.endswith("key")) for name in names
    ]
    return [*own.around(), *own_certificates]


def folders(own: Record, data: bool, backup: bool) -> list[str]:
    """Return the folders and links that are to be deleted and are still there.

    Args:
        own: the record.
        data: delete the data.
        backup: delete the repository, where it is a folder of this machine.

    CLI Example: called by states.
    """
    found = [str(folder) for folder in _data_folders(own)] if data else []
    if data:
        found += [link for link in (own.home, own.link) if link and Path(link).is_symlink()]
    if backup and own.repository:
        # The link into it may be gone with the data: the folder of the stanza is what counts.
        stanza = [Path(own.repository, kind, own.stanza) for kind in ("archive", "backup")]
        found = [*(str(path) for path in stanza if path.exists()), *found]
    return found


def delete(paths: Iterable[str]) -> None:
    """Delete folders and links.

    Raises:
        CommandExecutionError: the system refused.

    CLI Example: called by states.
    """
    for path in map(Path, paths):
        try:
            if path.is_symlink():
                path.unlink()
            elif path.is_mount():
                _empty(path)
            else:
                shutil.rmtree(path)
        except FileNotFoundError:
            continue
        except OSError as err:
            raise CommandExecutionError(f"cannot delete {path}: {err}") from err


def stanza(own: Record) -> dict[str, Any]:
    """Return the change that deletes a stanza elsewhere; empty where it is gone, or a folder here.

    CLI Example: called by states.
    """
    found = None if own.repository else _repository(own)
    if found is None or not found.exists:
        return {}
    return {f"stanza {own.stanza}": {"old": counted(len(found.backups), "backup"), "new": None}}


def delete_stanza(own: Record) -> None:
    """Delete the stanza in a repository elsewhere; the server has to be stopped.

    Raises:
        CommandExecutionError: pgBackRest refused.

    CLI Example: called by states.
    """
    _pgbackrest(own, ["stop"])
    _pgbackrest(own, ["stanza-delete", "--force"])


def schedule() -> list[File]:
    """Return the schedule of backups, as it shall be: gone, before the server stops.

    CLI Example: called by states.
    """
    return [File(CRONTAB, None)]


def _record() -> Record | None:
    return Record.read(__salt__["pigsty_file.read"](record.PATH))


def _data_folders(own: Record) -> list[Path]:
    """Return the folders that hold the member's data, those outside the main one first."""
    found: list[Path] = []
    data, main = Path(own.data), Path(own.main)
    wal = data / "pg_wal"
    if wal.is_symlink():
        found.append(wal.resolve())
    tablespaces = data / "pg_tblspc"
    for link in sorted(tablespaces.iterdir()) if tablespaces.is_dir() else ():
        # Each server keeps its files in a folder of its own version; what else is there stays.
        found += sorted(link.resolve().glob("PG_*"))
    resolved = data.resolve()
    if data.exists() and main.resolve() not in (resolved, *resolved.parents):
        found.append(resolved)
    found = [path for path in found if path.exists() and main.resolve() not in path.parents]
    return [*found, main] if main.exists() else found


def _empty(path: Path) -> None:
    """Delete what is in a folder that can't be deleted itself: a file system of its own."""
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _size(path: Path) -> int:
    """Return the bytes that the files below a folder take on disk."""
    return sum(_blocks(path)) if path.is_dir() else 0


def _blocks(path: Path) -> Iterator[int]:
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                yield Path(folder, name).lstat().st_blocks * 512
            except OSError:
                continue


def _repository(own: Record) -> backups.Repository | None:
    """Return what the member's repository holds; None without backups, or where it is silent."""
    if not own.stanza or not Path(CONFIG).exists():
        return None
    try:
        return backups.parse(json.loads(_pgbackrest(own, ["info", "--output=json"])), own.stanza)
    except (CommandExecutionError, ValueError):
        return None


def _pgbackrest(own: Record, arguments: Sequence[str]) -> str:
    """Run pgBackRest as the member's superuser; return its output.

    Raises:
        CommandExecutionError: it failed.
    """
    done = __salt__["cmd.run_all"](
        ["pgbackrest", f"--stanza={own.stanza}", *arguments],
        runas=own.user,
        cwd="/",
        python_shell=False,
        ignore_retcode=True,
        timeout=int(DEADLINES["backup.info"]),
    )
    if done["retcode"]:
        said = (done["stdout"] or done["stderr"]).strip()[-500:]
        raise CommandExecutionError(f"pgbackrest {arguments[0]}: {said or done['retcode']}")
    return str(done["stdout"])


def _server(own: Record) -> dict[str, Any]:
    """Return what the running server says; nothing when it doesn't run."""
    server = session.Server(own.socket, own.port, own.user)
    try:
        with server.impersonated(), server.connect("postgres") as connection:
            sizes = connection.execute(
                "SELECT datname, pg_database_size(oid) FROM pg_database "
                "WHERE NOT datistemplate ORDER BY 1"
            ).fetchall()
            slots = connection.execute(
                "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' "
                "AND NOT synced ORDER BY 1"
                if connection.info.server_version >= 170000
                else "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' "
                "ORDER BY 1"
            ).fetchall()
            clients = connection.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchone()
    except (psycopg.Error, ClientError):
        return {}
    return {
        "databases": [{"name": name, "bytes": size} for name, size in sizes],
        "slots": [name for (name,) in slots],
        "clients": clients[0] if clients else 0,
    }


def _stopped(unit: str) -> bool:
    status = __salt__["pigsty_systemd.show"](unit)[unit]
    return status.get("ActiveState") in ("inactive", "failed")


def _await(condition: Callable[[], bool], what: str) -> None:
    try:
        wait_until(condition, "removal.stop", what)
    except DeadlineExceeded as err:
        raise CommandExecutionError(str(err)) from err
