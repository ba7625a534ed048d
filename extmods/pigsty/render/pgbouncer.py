"""PgBouncer's files: its settings, the databases it passes on, its users and their verifiers."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pigsty.errors import PillarError

DIRECTORY = "/etc/pgbouncer"
_BANNER = "; Managed by Pigsty: change the inventory instead."

#: Key of a database in the inventory: option of PgBouncer's database line.
DATABASE_OPTIONS: Mapping[str, str] = {
    "pool_auth_user": "auth_user",
    "pool_mode": "pool_mode",
    "pool_size": "pool_size",
    "pool_size_min": "min_pool_size",
    "pool_reserve": "reserve_pool",
    "pool_connlimit": "max_db_connections",
}
#: Key of a user in the inventory: option of PgBouncer's user line.
USER_OPTIONS: Mapping[str, str] = {
    "pool_mode": "pool_mode",
    "pool_connlimit": "max_user_connections",
}
#: Settings that PgBouncer reads at its start only; a change of another needs but a reload.
RESTART_ONLY = (
    "listen_addr",
    "listen_port",
    "unix_socket_dir",
    "logfile",
    "pidfile",
)
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_KEY = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Login:
    """A user that may come through PgBouncer.

    Attributes:
        name: role name.
        verifier: what ``pg_authid`` holds for it, or "" for one that needs no password.
        options: keys of :data:`USER_OPTIONS` with their values.
    """

    name: str
    verifier: str
    options: Mapping[str, Any]


def ini(
    params: Mapping[str, Any],
    listen: Iterable[str],
    certificates: str,
    platform: Mapping[str, Any],
) -> str:
    """Return ``pgbouncer.ini``.

    Args:
        params: the PGSQL parameters of the member.
        listen: addresses to listen on, as PostgreSQL does.
        certificates: directory of the member's certificate and key.
        platform: the operating system's data: ``pgbouncer_pidfile``, where the package wants the
            process id, and ``pgbouncer_lacks``, settings that its version doesn't know yet.
    """
    settings = {
        "logfile": f"{params['pgbouncer_log_dir']}/pgbouncer.log",
        "pidfile": platform["pgbouncer_pidfile"],
        "listen_addr": ",".join(listen),
        "listen_port": params["pgbouncer_port"],
        "unix_socket_dir": params["pg_localhost"],
        "unix_socket_mode": "0777",
        "auth_type": "hba",
        "auth_file": f"{DIRECTORY}/userlist.txt",
        "auth_hba_file": f"{DIRECTORY}/pgb_hba.conf",
        **_lookup(params),
        "admin_users": params["pg_dbsu"],
        "stats_users": f"{params['pg_monitor_username']}, {params['pg_admin_username']}",
        "pool_mode": params["pgbouncer_poolmode"],
        "max_client_conn": 20000,
        "default_pool_size": 50,
        "reserve_pool_size": 30,
        "reserve_pool_timeout": 1,
        "max_db_connections": 100,
        "max_user_connections": 100,
        "max_prepared_statements": 256,
        "server_lifetime": 600,
        "server_idle_timeout": 600,
        "server_connect_timeout": 5,
        # PostgreSQL restarts in two seconds; after one login that failed meanwhile PgBouncer would
        # turn clients away for 15.
        "server_login_retry": 1,
        "query_wait_timeout": 120,
        "server_check_delay": 30,
        # A session's leftovers only matter where a session keeps its server connection.
        "server_reset_query": "DISCARD ALL",
        "server_reset_query_always": 0,
        "ignore_startup_parameters": ", ".join(map(str, params["pgbouncer_ignore_param"] or [])),
        "log_connections": 0,
        "log_disconnections": 0,
        "application_name_add_host": 0,
        **_tls(str(params["pgbouncer_sslmode"]), certificates),
    }
    lines = [
        _BANNER,
        "[databases]",
        f"%include {DIRECTORY}/database.txt",
        "",
        "[users]",
        f"%include {DIRECTORY}/useropts.txt",
        "",
        "[pgbouncer]",
        *(
            f"{key} = {value}"
            for key, value in settings.items()
            if value != "" and key not in platform.get("pgbouncer_lacks", ())
        ),
    ]
    return "\n".join(lines) + "\n"


def databases(params: Mapping[str, Any]) -> str:
    """Return ``database.txt``: ``postgres`` and every database that isn't kept out.

    Raises:
        PillarError: a name or option that PgBouncer's format can't carry.
    """
    host = str(params["pgbouncer_redirect_to"] or params["pg_localhost"])
    target = f"host={host} port={params['pg_port']}"
    lines = {"postgres": f"postgres = {target}"}
    for database in params["pg_databases"] or []:
        name = str(database["name"])
        if database.get("state") == "absent" or not database.get("pgbouncer", True):
            lines.pop(name, None)
            continue
        options = _options(database, DATABASE_OPTIONS)
        lines[name] = f"{_key(name)} = {' '.join([target, *options])}"
    return "\n".join([_BANNER, *lines.values()]) + "\n"


def user_options(logins: Iterable[Login]) -> str:
    """Return ``useropts.txt``: the pool options of users that have some."""
    lines = [
        f"{_key(login.name)} = {' '.join(_options(login.options, USER_OPTIONS))}"
        for login in logins
        if _options(login.options, USER_OPTIONS)
    ]
    return "\n".join([_BANNER, *lines]) + "\n"


def userlist(logins: Iterable[Login]) -> str:
    """Return ``userlist.txt``: a line per user with its verifier, never a plain password."""
    lines = [f'"{_escaped(login.name)}" "{_escaped(login.verifier)}"' for login in logins]
    return "\n".join(lines) + "\n"


def merged(present: str, declared: str, names: Container[str]) -> str:
    """Return a list of databases or users in which some are as declared, the others as they are.

    Args:
        present: the text of ``database.txt``, ``useropts.txt`` or ``userlist.txt`` as it is.
        declared: as all of them are declared; its order counts.
        names: those that become as declared.
    """
    have = {_name(line): line for line in present.splitlines() if _name(line)}
    want = {_name(line): line for line in declared.splitlines() if _name(line)}
    found = [line for line in declared.splitlines() if not _name(line)]
    for name, line in want.items():
        if name in names:
            found.append(line)
        elif name in have:
            found.append(have[name])
    found += [line for name, line in have.items() if name not in want and name not in names]
    return "\n".join(found) + "\n"


def restart_only(text: str) -> dict[str, str]:
    """Return those settings of an ini text that a reload doesn't bring into effect."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith(";"))
    found = {key.strip(): value.strip() for key, equals, value in pairs if equals}
    return {key: found[key] for key in RESTART_ONLY if key in found}


def _name(line: str) -> str:
    """Return whose line it is, "" for a comment."""
    if match := _QUOTED.match(line):
        return match[1].replace('""', '"')
    return "" if line.startswith(";") else line.partition("=")[0].strip()


def _lookup(params: Mapping[str, Any]) -> dict[str, Any]:
    if not params["pgbouncer_auth_query"]:
        return {}
    return {
        "auth_user": params["pg_monitor_username"],
        "auth_query": "SELECT username, password FROM monitor.pgbouncer_auth($1)",
    }


def _tls(mode: str, certificates: str) -> dict[str, Any]:
    if mode == "disable":
        return {"client_tls_sslmode": mode}
    return {
        "client_tls_sslmode": mode,
        "client_tls_key_file": f"{certificates}/server.key",
        "client_tls_cert_file": f"{certificates}/server.crt",
        "client_tls_ca_file": f"{certificates}/ca.crt",
        "client_tls_protocols": "secure",
    }


def _options(source: Mapping[str, Any], table: Mapping[str, str]) -> list[str]:
    found = []
    for key, option in table.items():
        value = source.get(key)
        if value is None:
            continue
        text = str(value)
        if not text or any(sign in text for sign in " '\"\n=;"):
            raise PillarError(f"{key}: {text!r} can't stand in PgBouncer's configuration")
        found.append(f"{option}={text}")
    return found


def _key(name: str) -> str:
    """Return a name as the left side of an ini line; PgBouncer's parser has no way to quote one."""
    if not _KEY.fullmatch(name):
        raise PillarError(
            f"{name!r} can't be the name of a database, or of a user with pool options, in "
            "PgBouncer: use letters, digits and . _ - only, or say `pgbouncer: false`"
        )
    return name


def _escaped(text: str) -> str:
    if not text.isprintable():
        raise PillarError("a name or verifier has characters that PgBouncer's files can't hold")
    return text.replace('"', '""')
