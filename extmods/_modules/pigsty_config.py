"""Settings as this member runs with them, and where each value comes from."""

from __future__ import annotations

from typing import Any

import psycopg

from pigsty.clients.patroni import Patroni
from pigsty.errors import ClientError
from pigsty.render import dynamic, libraries, patroni
from pigsty.render.tuning import Machine
from pigsty.sql.session import Server, text

__virtualname__ = "pigsty_config"

_SETTINGS = """
SELECT name, current_setting(name, true), source, sourcefile, pending_restart
  FROM pg_settings
"""
#: What the files say, also where it isn't in force: ALTER SYSTEM's own file, and refused lines.
_FILES = "SELECT name, setting, sourcefile, error FROM pg_file_settings WHERE name IS NOT NULL"
_ALTERED = "/postgresql.auto.conf"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def look() -> dict[str, Any]:
    """Return the settings of this member.

    Returns:
        ``instance``, ``leader``; ``declared`` and ``origin`` (setting to value, and to what in the
        inventory gives it), ``dcs``, ``changes`` (what an apply would change there; looked at by
        the leader alone), ``settings`` (value, source, file, pending), ``altered`` (by ALTER
        SYSTEM), ``errors`` (what PostgreSQL refuses); ``error`` where something is silent.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_config.look
    """
    spec = __pillar__["pigsty"]["pgsql"]
    machine = Machine(**__salt__["pigsty_patroni.machine"]())
    declared = patroni.settings(spec, machine)
    found: dict[str, Any] = {
        "instance": spec["instance"],
        "leader": False,
        "declared": declared,
        "origin": _origins(spec, declared),
        "dcs": {},
        "changes": {},
        "settings": {},
        "altered": {},
        "errors": {},
        "error": "",
    }
    try:
        client = Patroni.of_pillar(spec)
        found["leader"] = client.status().leader
        config = client.config()
        found["dcs"] = dict((config.get("postgresql") or {}).get("parameters") or {})
        if found["leader"]:
            changes = dynamic.changes(spec, machine, config)
            found["changes"] = {
                path.removeprefix(dynamic.SETTINGS): change for path, change in changes.items()
            }
        found |= _server_side(Server.of_params(spec["params"]), set(declared) | set(found["dcs"]))
        refused: dict[str, str] = __salt__["pigsty_patroni.refused"]()
        found["errors"] |= {name: f"left out, {why}" for name, why in refused.items()}
    except ClientError as error:
        found["error"] = str(error)
    except psycopg.Error as error:
        found["error"] = text(error)
    return found


def _server_side(server: Server, names: set[str]) -> dict[str, Any]:
    with server.impersonated():
        connection = server.connect("postgres")
    with connection:
        rows = connection.execute(_SETTINGS).fetchall()
        lines = connection.execute(_FILES).fetchall()
    altered = {str(n): str(v) for n, v, file, _ in lines if str(file).endswith(_ALTERED)}
    # A setting that waits for a restart is "refused" by a reload: that is told elsewhere.
    waiting = {str(row[0]) for row in rows if row[4]}
    errors = {str(n): str(why) for n, _, _, why in lines if why and str(n) not in waiting}
    kept = names | set(altered) | set(errors) | waiting
    settings = {
        str(name): {"value": value, "source": source, "file": file, "pending": pending}
        for name, value, source, file, pending in rows
        if name in kept
    }
    return {"settings": settings, "altered": altered, "errors": errors}


def _origins(spec: dict[str, Any], declared: dict[str, Any]) -> dict[str, str]:
    """Return what in the inventory gives each setting its value."""
    params = spec["params"]
    own = set(params["pg_parameters"])
    computed = dynamic.computed(spec)
    preset = str(params["pg_conf"])
    found = {}
    for name in declared:
        if name == libraries.SETTING:
            found[name] = "pg_libs"
        elif name in own:
            found[name] = "pg_parameters"
        elif name in ("hba_file", "unix_socket_directories", "archive_command"):
            found[name] = "pigsty"
        else:
            found[name] = f"{preset}, this machine" if name in computed else preset
    return found
