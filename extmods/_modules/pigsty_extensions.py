"""Extensions and libraries of this member, and the update of what is created at an old version."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import psycopg
from salt.exceptions import CommandExecutionError

from pigsty.clients.patroni import Patroni
from pigsty.errors import ClientError
from pigsty.render import libraries
from pigsty.sql import statements
from pigsty.sql.session import Server, Unreachable, text
from pigsty.sql.settings import elements
from pigsty.sql.wanted import load

__virtualname__ = "pigsty_extensions"

_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname"
_AVAILABLE = "SELECT name, default_version FROM pg_available_extensions()"
_CREATED = "SELECT extname, extversion FROM pg_extension"
#: Whether there is a way from one version to another.
_PATH = "SELECT path FROM pg_extension_update_paths(%s) WHERE source = %s AND target = %s"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def look() -> dict[str, Any]:
    """Return what this member has.

    Returns:
        ``instance``, ``leader``; ``declared`` (database to extensions); ``wanted`` and ``lacking``
        (declared libraries, and those that aren't installed), ``missing`` (libraries that the DCS
        asks for, and that aren't installed), ``pending`` (the libraries wait for a restart); and
        from the server ``available``, ``loaded``, ``created`` (database to extensions), or
        ``error``.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_extensions.look
    """
    spec = __pillar__["pigsty"]["pgsql"]
    wanted = libraries.effective(spec["params"])
    found: dict[str, Any] = {
        "instance": spec["instance"],
        "leader": False,
        "declared": _declared(spec),
        "wanted": wanted,
        "lacking": __salt__["pigsty_trial.lacking"](wanted),
        "missing": [],
        "pending": False,
        "available": {},
        "loaded": [],
        "created": {},
        "error": "",
    }
    try:
        client = Patroni.of_pillar(spec)
        status = client.status()
        found["leader"] = status.leader
        found["pending"] = bool({libraries.SETTING, "?"} & set(status.pending_restart))
        settings = (client.config().get("postgresql") or {}).get("parameters") or {}
        asked = elements(str(settings.get(libraries.SETTING) or ""))
        found["missing"] = __salt__["pigsty_trial.lacking"](asked)
    except ClientError as error:
        found["error"] = str(error)
    try:
        found |= _server_side(_server())
    except (Unreachable, psycopg.Error) as error:
        found["error"] = text(error) if isinstance(error, psycopg.Error) else str(error)
    return found


def update(names: Sequence[str] = (), test: bool = False) -> dict[str, Any]:
    """Bring declared extensions to the version that is declared, or that their package brings.

    Done by the member that leads, one after the other, each in a session of its own: some must be
    updated by the first statement of a session. What fails is told, and the others go on.

    Args:
        names: only these; they need not be declared.
        test: look only.

    Returns:
        ``leader`` (whether this member leads; if not, nothing was done), ``changes`` (``extension x
        in db`` to old and new version), ``failures`` (the same to the reason).

    Raises:
        CommandExecutionError: the server doesn't answer.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_extensions.update '[vector]' test=True
    """
    spec = __pillar__["pigsty"]["pgsql"]
    result: dict[str, Any] = {"leader": False, "changes": {}, "failures": {}}
    try:
        if not Patroni.of_pillar(spec).status().leader:
            return result
        server = _server()
        has = _server_side(server)
    except (ClientError, psycopg.Error) as error:
        raise CommandExecutionError(str(error)) from error
    result["leader"] = True
    declared = _declared(spec)
    for database, created in has["created"].items():
        entries = {entry["name"]: entry for entry in declared.get(database, ())}
        for name, old in created.items():
            entry = entries.get(name)
            if (name not in names) if names else (entry is None or entry["absent"]):
                continue
            new = str((entry or {}).get("version") or has["available"].get(name, ""))
            if not new or new == old:
                continue
            about = f"extension {name} in {database}"
            reason = _updated(server, database, name, old, new, test)
            if reason:
                result["failures"][about] = reason
            else:
                result["changes"][about] = {"old": old, "new": new}
    return result


def _updated(server: Server, database: str, name: str, old: str, new: str, test: bool) -> str:
    """Update one extension; return why not, or ""."""
    try:
        with server.impersonated():
            asking = server.connect(database)
        with asking:
            row = asking.execute(_PATH, (name, old, new)).fetchone()
        if row is None or row[0] is None:
            return f"there is no way from version {old} to {new}"
        if not test:
            with server.impersonated():
                connection = server.connect(database)
            with connection:
                connection.execute(statements.extension_version(name, new))
    except psycopg.Error as error:
        return text(error)
    except Unreachable as error:
        return str(error)
    return ""


def _declared(spec: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    databases = load(spec["objects"]).databases
    return {
        name: [dataclasses.asdict(extension) for extension in database.extensions]
        for name, database in databases.items()
        if database.state != "absent"
    }


def _server_side(server: Server) -> dict[str, Any]:
    with server.impersonated():
        first = server.connect("postgres")
    with first:
        available = dict(first.execute(_AVAILABLE).fetchall())
        (loaded,) = first.execute("SHOW shared_preload_libraries").fetchone() or ("",)
        names = [str(row[0]) for row in first.execute(_DATABASES).fetchall()]
    created: dict[str, dict[str, str]] = {}
    for name in names:
        with server.impersonated():
            connection = server.connect(name)
        with connection:
            created[name] = dict(connection.execute(_CREATED).fetchall())
    return {"available": available, "created": created, "loaded": elements(str(loaded))}


def _server() -> Server:
    return Server.of_params(__pillar__["pigsty"]["pgsql"]["params"])
