"""The HBA file of this member's PostgreSQL, checked by the server's own parser."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until
from pigsty.render import hba
from pigsty.render.files import File
from pigsty.render.pglayout import GROUP

__virtualname__ = "pigsty_hba"

_LOADED = "SELECT extract(epoch FROM pg_conf_load_time())"
_ERRORS = (
    "SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL ORDER BY line_number"
)


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def file(kind: str, path: str) -> File:
    """Return an HBA file with the rules that apply to this member's live role.

    Args:
        kind: ``postgres`` or ``pgbouncer``.
        path: where the file stands.

    CLI Example: called by states.
    """
    spec = __pillar__["pigsty"]["pgsql"]
    roles = hba.roles_of(
        spec["role"], __salt__["pigsty_patroni.live_role"](), spec["hba"]["offline_query"]
    )
    contents = hba.render(spec["hba"][kind], roles)
    return File(path, contents, mode="0600", user=spec["params"]["pg_dbsu"], group=GROUP)


def prepared(path: str) -> bool:
    """Tell whether a member was made here: its folder is a link, and a folder would be in its way.

    CLI Example: called by states.
    """
    return Path(path).parent.is_dir()


def stale(path: str) -> bool:
    """Tell whether a running PostgreSQL has not yet loaded the HBA file that is there.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_hba.stale /pg/conf/pg_hba.conf
    """
    answer = _query(_LOADED)
    if not answer or not Path(path).exists():
        return False
    return float(answer[0][0]) < Path(path).stat().st_mtime


def errors() -> list[str]:
    """Return what the running server's parser has against its HBA file, a text per bad line.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_hba.errors
    """
    return [f"line {line}: {error}" for line, error in _query(_ERRORS) or []]


def reload() -> bool:
    """Make a running PostgreSQL load its HBA file, and wait until it has; False if none runs.

    Raises:
        CommandExecutionError: the server didn't load it before the deadline.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_hba.reload
    """
    before = _query(_LOADED)
    if not before:
        return False
    _query("SELECT pg_reload_conf()")

    def loaded() -> bool:
        now = _query(_LOADED)
        return bool(now) and now[0][0] > before[0][0]

    try:
        wait_until(loaded, "postgres.reload", "PostgreSQL loads its HBA file")
    except DeadlineExceeded as err:
        raise CommandExecutionError(str(err)) from err
    return True


def loaded_at() -> float:
    """Return when PostgreSQL last loaded its configuration, in seconds since 1970; 0 if none runs.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_hba.loaded_at
    """
    found = _query("SELECT extract(epoch FROM pg_conf_load_time())")
    return float(found[0][0]) if found else 0.0


def _query(query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a constant query on the local server; empty when none is running."""
    params = __pillar__["pigsty"]["pgsql"]["params"]
    try:
        user = pwd.getpwnam(params["pg_dbsu"])
    except KeyError:
        return []
    if not Path(params["pg_localhost"], f".s.PGSQL.{params['pg_port']}").exists():
        return []
    # Here and not above: it takes 0.1 s, which a node without a server needn't pay.
    import psycopg

    # The server asks the socket who comes: for a moment that is the superuser's account.
    own = os.geteuid()
    os.seteuid(user.pw_uid)
    try:
        with psycopg.connect(
            host=params["pg_localhost"],
            port=params["pg_port"],
            dbname="postgres",
            user=params["pg_dbsu"],
            application_name="pigsty",
            connect_timeout=int(DEADLINES["postgres.connect"]),
            autocommit=True,
        ) as connection:
            os.seteuid(own)
            return connection.execute(query).fetchall()
    except psycopg.OperationalError:
        return []
    finally:
        os.seteuid(own)
