"""This member's pgBackRest: its files, what its repository holds, and making backups."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from salt.exceptions import CommandExecutionError

from pigsty import backups, room
from pigsty.deadlines import DeadlineExceeded, wait_until
from pigsty.errors import ClientError, PigstyError
from pigsty.render import pgbackrest
from pigsty.render.files import Directory, File
from pigsty.sql import session
from pigsty.stages import VERBOSE, Console
from pigsty.wording import sized

__virtualname__ = "pigsty_pgbackrest"

#: Seconds that one try at a silent repository takes. pgBackRest says which host was silent after
#: about nine times as long (19 s): that must come before the deadline of the look.
PATIENCE = 2
#: Commands that take hours, and tell meanwhile how far they are.
_LONG = ("backup", "restore")
#: What a check or a backup says when its WAL didn't come to the archive, whatever the reason.
_UNARCHIVED = "was not archived before"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def files() -> list[File | Directory]:
    """Return the folders and files of backups and of the schedule, as they shall be.

    CLI Example: called by states.
    """
    try:
        return pgbackrest.files(_spec(), len(os.sched_getaffinity(0)))
    except PigstyError as err:
        raise CommandExecutionError(str(err)) from err


def info(source: bool = False) -> list[dict[str, Any]]:
    """Return what the repository holds of this cluster, as pgBackRest says it.

    Args:
        source: look for the cluster that ``pg_pitr`` names instead.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_pgbackrest.info
    """
    command = ["info", "--output=json", f"--io-timeout={PATIENCE}"]
    if source:
        with tempfile.TemporaryDirectory(dir="/run", prefix="pigsty-") as folder:
            config = f"{folder}/source.conf"
            # Only the file is for the superuser's eyes; it has to find it.
            Path(folder).chmod(0o711)
            __salt__["pigsty_file.converge"](foreign(config))
            answer = execute(command, "backup.info", stanza(source), config)
    else:
        answer = execute(command, "backup.info")
    try:
        found = json.loads(answer)
    except ValueError as err:
        raise CommandExecutionError("pgbackrest info sent no JSON") from err
    return found if isinstance(found, list) else []


def look(source: bool = False) -> dict[str, Any]:
    """Return the repository's contents, this member's live role and clock: what a person asks.

    Args:
        source: see :func:`info`.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_pgbackrest.look
    """
    role = __salt__["pigsty_patroni.live_role"]()
    return {"info": info(source), "now": time.time(), "role": role}


def stanza(source: bool = False) -> str:
    """Return this cluster's stanza, or that of the cluster that ``pg_pitr`` names.

    Raises:
        CommandExecutionError: it names none.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_pgbackrest.stanza
    """
    found = _spec()["source" if source else "backup"]
    if found is None:
        raise CommandExecutionError("pg_pitr of this member's pillar names no other cluster")
    return str(found["stanza"])


def foreign(path: str) -> list[File | Directory]:
    """Return the file that lets pgBackRest read the cluster that ``pg_pitr`` names.

    CLI Example: called by this module and the restore.
    """
    spec = _spec()
    try:
        text = pgbackrest.configuration(
            {**spec, "backup": spec["source"]}, len(os.sched_getaffinity(0))
        )
    except PigstyError as err:
        raise CommandExecutionError(str(err)) from err
    user = spec["params"]["pg_dbsu"]
    return [File(path, text, "0600", user, pgbackrest.GROUP, secret=True)]


def plan() -> dict[str, Any]:
    """Return what is missing of this member's stanza: ``{subject: {"old": …, "new": …}}``.

    The leader needs the stanza and a first full backup. Another member needs the stanza only where
    the repository is a folder of its own: then archiving goes on at once when it comes to lead.
    A stanza that an older cluster of this name left there is taken over, its backups stay.

    Raises:
        CommandExecutionError: the repository doesn't answer, or others reach it too and its stanza
            is another server's: that could be alive, and would lose its archive.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_pgbackrest.plan
    """
    spec = _spec()
    stanza = spec["backup"]["stanza"]
    made = {f"stanza {stanza}": {"old": None, "new": "created"}}
    first = {"backup": {"old": None, "new": "first full backup"}}
    wants = first if spec["params"]["pgbackrest_init_backup"] else {}
    role = __salt__["pigsty_patroni.live_role"]()
    if role is None:
        # Nothing runs yet, which only a test run meets: the declared primary is going to lead.
        return {**made, **wants} if spec["role"] == "primary" or _local() else {}
    if role != "primary":
        if not _local():
            return {}
        return _taken_over(stanza, _prepared()) if _archive_info().exists() else made
    found = backups.parse(info(), stanza)
    if not found.exists:
        if not found.readable:
            raise CommandExecutionError(f"the repository of {stanza}: {found.message}")
        return {**made, **wants}
    taken = _taken_over(stanza, found.system)
    return {**taken, **wants} if taken or not found.full else {}


def carry_out(changes: dict[str, Any]) -> None:
    """Do what :func:`plan` returned, and look whether it is done.

    Raises:
        CommandExecutionError: pgBackRest refused; the text holds its own words.

    CLI Example: called by states.
    """
    stanza = _spec()["backup"]["stanza"]
    leads = __salt__["pigsty_patroni.live_role"]() == "primary"
    if leads:
        _await_lead()
    if f"stanza {stanza}" in changes:
        # A replica makes it from its own control file, without asking the leader.
        _create(changes[f"stanza {stanza}"], online=leads)
        if leads:
            _work(["check"], "backup.check")
    if "backup" in changes and leads:
        _work(["backup", "--type=full"], "backup.first")
    left = plan()
    if left:
        raise CommandExecutionError(f"made, but still missing: {', '.join(sorted(left))}")


def backup(kind: str = "incr") -> dict[str, Any]:
    """Make a backup on the member that leads; return it (see :class:`pigsty.backups.Backup`).

    Args:
        kind: ``full``, ``diff`` or ``incr``; without a full one before it, it is a full one.

    Raises:
        CommandExecutionError: this member doesn't lead, or came to follow meanwhile; or pgBackRest
            refused.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_pgbackrest.backup full
    """
    if kind not in backups.KINDS:
        raise CommandExecutionError(f"there is no backup of type {kind}: say full, diff or incr")
    role = __salt__["pigsty_patroni.live_role"]()
    if role != "primary":
        raise CommandExecutionError(f"this member doesn't lead, it is {role}: nothing was done")
    _await_lead()
    for missing in (change for name, change in plan().items() if name != "backup"):
        _create(missing, online=True)
    _work(["backup", f"--type={kind}"], "backup.run")
    found = backups.parse(info(), _spec()["backup"]["stanza"]).backups
    if not found:
        raise CommandExecutionError("pgBackRest made no backup")
    return found[-1].to_dict()


def flush() -> dict[str, Any]:
    """Have all that was committed so far in the archive; return the segment and the member's clock.

    A commit of our own comes first, so that recovery to any time before it finds a later one: it
    must see one to know that it has arrived.

    Raises:
        CommandExecutionError: the server doesn't answer, or nothing is archived before the
            deadline.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_pgbackrest.flush
    """
    now = time.time()
    server = _server()
    try:
        with server.impersonated(), server.connect("postgres") as connection:
            connection.execute("SELECT pg_current_xact_id()")
            row = connection.execute(
                "SELECT pg_walfile_name(pg_current_wal_lsn()), pg_current_wal_lsn()::text"
            ).fetchone()
            connection.execute("SELECT pg_switch_wal()")
            segment, lsn = str(row[0]), str(row[1])  # type: ignore[index]

            def archived() -> bool:
                found = connection.execute(
                    "SELECT last_archived_wal FROM pg_stat_archiver"
                ).fetchone()
                last = str((found or ("",))[0] or "")
                return len(last) >= 24 and "." not in last and last[8:] >= segment[8:]

            wait_until(archived, "backup.check", f"WAL segment {segment} is archived")
    except (psycopg.Error, PigstyError) as err:
        raise CommandExecutionError(str(err)) from err
    return {"wal": segment, "lsn": lsn, "now": now}


def execute(arguments: Sequence[str], deadline: str, stanza: str = "", config: str = "") -> str:
    """Run pgBackRest on this cluster's stanza, as the superuser of the database; return its output.

    Who waits is told how far a backup or a restore is.

    Args:
        arguments: command and options; no secret, as every user may read them.
        deadline: a name in :data:`pigsty.deadlines.DEADLINES`.
        stanza: another one.
        config: another configuration file.

    Raises:
        CommandExecutionError: it failed, or didn't end in time.

    CLI Example: called by this module and the restore.
    """
    spec = _spec()
    command = ["pgbackrest", f"--stanza={stanza or spec['backup']['stanza']}", *arguments]
    if config:
        command.append(f"--config={config}")
    take = None
    if arguments[0] in _LONG:
        command.append(VERBOSE)
        take = _listener()
    user = spec["params"]["pg_dbsu"]
    said: str = __salt__["pigsty_command.answer"](command, user, pgbackrest.GROUP, deadline, take)
    return said


def _listener() -> Callable[[str], bool]:
    """Return what reads pgBackRest's console and tells who waits."""
    console = Console()

    def take(line: str) -> bool:
        before = console.stage
        told = console.take(line)
        if console.stage is not None and console.stage is not before:
            __salt__["pigsty_work.tell"](**console.stage.to_dict())
        return told

    return take


def _work(arguments: Sequence[str], deadline: str) -> None:
    """Run what only a leader can do, and say what pgBackRest itself can't see of a failure.

    Raises:
        CommandExecutionError: it failed; the text holds pgBackRest's own words. Or its repository
            is this machine's own, and full: then nothing was begun.
    """
    free = _free()
    if free is not None and (problem := room.archive(_path(), free)):
        raise CommandExecutionError(problem)
    try:
        execute(arguments, deadline)
    except CommandExecutionError as err:
        role = __salt__["pigsty_patroni.live_role"]()
        if role != "primary":
            raise CommandExecutionError(
                f"the lead of the cluster went to another member meanwhile: what was begun here is "
                f"no backup, make one there ({err})"
            ) from err
        why = _unarchived() if _UNARCHIVED in str(err) else ""
        said = f"{err}\n{why}".strip()
        raise CommandExecutionError(f"{_full(said)}{said}") from err


def _full(said: str) -> str:
    """Return a sentence on what it means that pgBackRest found no room; "" if it had some.

    Its last words may be about the file that it couldn't write again, so the disk is asked too.
    """
    free = _free()
    if not room.full(said) and (free is None or not room.archive(_path(), free)):
        return ""
    where = "the repository" + ("" if free is None else f" ({_path()}, {sized(free)} free)")
    return (
        f"a disk is full, most likely that of {where}: make room, or keep fewer backups "
        "(retention_full). What was begun is never listed, and the next backup takes it up or "
        "removes it\n"
    )


def _unarchived() -> str:
    """Return why archiving failed last: the background process leaves it in its queue."""
    spec = _spec()
    queue = Path(spec["directories"]["home"], "spool/archive", spec["backup"]["stanza"], "out")
    try:
        last = max(queue.glob("*.error"), key=lambda file: file.stat().st_mtime)
        # The first line is a code.
        return f"archive-push: {last.read_text('utf-8', 'replace').partition(chr(10))[2].strip()}"
    except (OSError, ValueError):
        return ""


def _create(change: Mapping[str, Any], *, online: bool) -> None:
    """Make the stanza or take it over, once failing archiving frees the lock that both need.

    Raises:
        CommandExecutionError: pgBackRest refused, or the lock was never free.
    """
    said: list[str] = []
    verb = "stanza-create" if change["old"] is None else "stanza-upgrade"

    def made() -> bool:
        try:
            execute([verb, *([] if online else ["--no-online"])], "backup.stanza")
        except CommandExecutionError as err:
            said[:] = [str(err)]
            if "unable to acquire lock" not in str(err):
                raise
            return False
        return True

    try:
        wait_until(made, "backup.lock", "pgBackRest is free to make the stanza")
    except DeadlineExceeded as err:
        raise CommandExecutionError(f"{err}: {''.join(said)}") from err


def _await_lead() -> None:
    """Wait until the server takes writes, and archives with pgBackRest.

    Patroni says "primary" a moment before a promotion has ended, and takes a new archive command
    over at a later look.
    """
    wanted = pgbackrest.archive_command(_spec()["backup"]["stanza"])
    theirs = "archive_command" in _spec()["params"]["pg_parameters"]
    server = _server()

    def ready() -> bool:
        with server.impersonated(), server.connect("postgres") as connection:
            row = connection.execute(
                "SELECT pg_is_in_recovery(), current_setting('archive_command')"
            ).fetchone()
        return row is not None and not row[0] and (theirs or row[1] == wanted)

    try:
        wait_until(ready, "backup.archiving", "PostgreSQL leads, and archives with pgBackRest")
    except (psycopg.Error, ClientError, DeadlineExceeded) as err:
        raise CommandExecutionError(str(err)) from err


def _path() -> str:
    """Return the repository's folder."""
    return str(_spec()["backup"]["options"]["path"])


def _free() -> int | None:
    """Return the bytes that are free in a repository of this machine's own; None elsewhere."""
    if not _local():
        return None
    try:
        return shutil.disk_usage(_path()).free
    except OSError:
        return None  # it isn't there yet


def _local() -> bool:
    return pgbackrest.local(_spec()["backup"]["options"])


def _archive_info() -> Path:
    """Return where a repository of this machine's own says whose the stanza is."""
    return Path(_path(), "archive", _spec()["backup"]["stanza"], "archive.info")


def _prepared() -> int | None:
    """Return the system that the stanza in this machine's own repository is for."""
    found = backups.recorded_system(_archive_info().read_text("utf-8", errors="replace"))
    return found or backups.parse(info(), _spec()["backup"]["stanza"]).system


def _taken_over(stanza: str, theirs: int | None) -> dict[str, Any]:
    """Return the change of a stanza that is for another server than this member's."""
    with Path(_spec()["params"]["pg_data"], "global/pg_control").open("rb") as control:
        own = backups.system(control.read(8))
    if theirs in (None, own):
        return {}
    if not _local():
        raise CommandExecutionError(
            f"the stanza {stanza} in the repository belongs to another cluster of this name "
            f"(system {theirs}, here {own}): nothing is archived. Give this one a path of its own; "
            f"or, only if the other one is gone: pgbackrest --stanza={stanza} stanza-upgrade as "
            f"{_spec()['params']['pg_dbsu']} on its leader, and apply again"
        )
    return {f"stanza {stanza}": {"old": f"of system {theirs}", "new": f"of system {own}"}}


def _server() -> session.Server:
    params = _spec()["params"]
    return session.Server(
        socket=params["pg_localhost"], port=int(params["pg_port"]), dbsu=params["pg_dbsu"]
    )


def _spec() -> dict[str, Any]:
    spec: dict[str, Any] = __pillar__["pigsty"]["pgsql"]
    return spec
