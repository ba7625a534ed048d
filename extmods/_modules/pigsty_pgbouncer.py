"""This member's PgBouncer: its files, and what it needs to run with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pigsty.render import pgbouncer
from pigsty.render.files import File
from pigsty.render.pglayout import GROUP
from pigsty.scope import KEY, Scope

__virtualname__ = "pigsty_pgbouncer"

#: The settings of the last start that a reload doesn't bring into effect.
STARTED = Path("/run/pigsty/pgbouncer.started")


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def files() -> list[File]:
    """Return PgBouncer's files as they shall be; its HBA rules follow the member's live role.

    A run that is about some objects alone (:mod:`pigsty.scope`) leaves the rest as it is.

    CLI Example: called by states.
    """
    spec = __pillar__["pigsty"]["pgsql"]
    texts = spec["pgbouncer"]
    folder, user = pgbouncer.DIRECTORY, spec["params"]["pg_dbsu"]

    def own(name: str, contents: str, secret: bool = False) -> File:
        return File(f"{folder}/{name}", contents, "0640", user, GROUP, secret)

    scope = Scope.of(__pillar__.get(KEY))
    return [
        _within(own("pgbouncer.ini", texts["ini"]), scope.settings),
        _within(own("database.txt", texts["databases"]), scope.databases),
        _within(own("useropts.txt", texts["useropts"]), scope.users),
        _within(own("userlist.txt", texts["userlist"], secret=True), scope.users),
        _within(__salt__["pigsty_hba.file"]("pgbouncer", f"{folder}/pgb_hba.conf"), scope.hba),
    ]


def _within(file: File, meant: frozenset[str] | bool | None) -> File:
    """Return a file with what is meant as declared, and the rest as it is.

    Args:
        file: as declared.
        meant: names of the objects in it that are meant; True or None: all of it.
    """
    if meant is True or meant is None:
        return file
    present = __salt__["pigsty_file.read"](file.path)
    if present is None:
        return file
    contents = pgbouncer.merged(present, file.contents or "", meant) if meant else present
    return dataclasses.replace(file, contents=contents)


def need(unit: str, pid: int, wanted: list[File]) -> str:
    """Return what a running PgBouncer needs: ``restart``, ``reload`` or nothing.

    Args:
        unit: its unit.
        pid: its main process.
        wanted: its files as they shall be.

    CLI Example: called by states.
    """
    ini = wanted[0]
    started = __salt__["pigsty_file.read"](str(STARTED))
    if started is None:
        # Not started by us since the boot: it has what its file holds, unless it is older.
        started = _settings(__salt__["pigsty_file.read"](ini.path) or "")
        if __salt__["pigsty_loaded.stale"](STARTED.name, pid, [ini.path]):
            return "restart"
    if started != _settings(ini.contents or ""):
        return "restart"
    if __salt__["pigsty_file.changes"](wanted) or __salt__["pigsty_loaded.stale"](
        unit, pid, inputs(wanted)
    ):
        return "reload"
    return ""


def inputs(wanted: list[File]) -> list[str]:
    """Return all files that PgBouncer reads.

    CLI Example: called by states.
    """
    certificates = __pillar__["pigsty"]["pgsql"]["certificates"]
    names = ("server.crt", "server.key", "ca.crt")
    return [*(file.path for file in wanted), *(f"{certificates}/{name}" for name in names)]


def mark(unit: str, wanted: list[File], started: bool) -> None:
    """Remember that PgBouncer has loaded its files, and what it was started with.

    CLI Example: called by states.
    """
    __salt__["pigsty_loaded.mark"](unit, inputs(wanted))
    if started:
        STARTED.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        STARTED.write_text(_settings(wanted[0].contents or ""), "utf-8")


def _settings(ini: str) -> str:
    return "".join(f"{key}={value}\n" for key, value in pgbouncer.restart_only(ini).items())
