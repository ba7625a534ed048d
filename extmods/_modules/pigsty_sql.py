"""Objects of this member's cluster: roles, databases and what is in them, on the live leader."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.clients.patroni import Patroni
from pigsty.deadlines import DeadlineExceeded, wait_until
from pigsty.errors import ClientError, PigstyError
from pigsty.scope import KEY, Scope
from pigsty.sql import baseline
from pigsty.sql.baseline import BaselineError
from pigsty.sql.converge import Outcome, converge
from pigsty.sql.model import MAINTENANCE
from pigsty.sql.session import Server, Unreachable
from pigsty.sql.wanted import load

__virtualname__ = "pigsty_sql"

#: The master's environment of a deployment's own files, and its folder on the admin node.
FILES, FOLDER = "files", "/etc/pigsty/files"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def objects(test: bool = False) -> dict[str, Any]:
    """Make the objects of this member's cluster what is declared, if this member leads it.

    Args:
        test: look only.

    Returns:
        ``leader`` (who leads, where it is not this member; else None), ``reachable``, ``changes``
        (object to attributes), ``failures`` (object to reason), ``notes``.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_sql.objects test=True
    """
    found: dict[str, Any] = {
        "leader": None,
        "reachable": True,
        "changes": {},
        "failures": {},
        "notes": [],
    }
    try:
        try:
            outcome = _converge(test)
        except Unreachable as error:
            # A replica that still copies its data is silent too, and it's not its business anyway.
            if test and not _led_by_another():
                return {**found, "reachable": False, "notes": [str(error)]}
            # One that just gave the lead up starts again as a replica.
            with suppress(DeadlineExceeded):
                wait_until(lambda: _led_by_another() or _answers(), "patroni.leads", "a leader")
            if _led_by_another():
                return {**found, "leader": _leader()}
            outcome = _converge(test)
    except PigstyError as error:
        raise CommandExecutionError(str(error)) from error
    if outcome.standby:
        return {**found, "leader": _leader() or "another server"}
    return {
        **found,
        "changes": outcome.changes,
        "failures": outcome.failures,
        "notes": list(outcome.notes),
    }


def declared() -> dict[str, Any]:
    """Return the declared objects without their passwords.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_sql.declared
    """
    wanted = load(__pillar__["pigsty"]["pgsql"]["objects"])
    roles = {
        name: {**dataclasses.asdict(role.role), "password": bool(role.role.password)}
        for name, role in wanted.roles.items()
    }
    databases = {name: dataclasses.asdict(item) for name, item in wanted.databases.items()}
    return {"roles": roles, "databases": databases}


def _converge(test: bool) -> Outcome:
    wanted = load(__pillar__["pigsty"]["pgsql"]["objects"])
    scope = Scope.of(__pillar__.get(KEY))
    return converge(wanted, _server(), _baseline, leads=_leads, test=test, scope=scope)


def _answers() -> bool:
    """Tell whether the local server takes connections."""
    server = _server()
    try:
        with server.impersonated(), server.connect(MAINTENANCE):
            return True
    except Unreachable:
        return False


def _led_by_another() -> bool:
    return _leader() not in ("", __pillar__["pigsty"]["pgsql"]["instance"])


def _server() -> Server:
    return Server.of_params(__pillar__["pigsty"]["pgsql"]["params"])


def _baseline(server: Server, database: str, file: str) -> None:
    """Run a baseline, from this machine (absolute path) or from the admin node's folder."""
    psql = f"{__pillar__['pigsty']['pgsql']['directories']['programs']}/bin/psql"
    if file.startswith("/"):
        baseline.run(server, database, Path(file), psql)
        return
    cached = __salt__["cp.cache_file"](f"salt://{file}", saltenv=FILES)
    if not cached:
        raise BaselineError(f"there is no {FOLDER}/{file} on the admin node")
    baseline.run(server, database, Path(cached), psql)


def _leader() -> str:
    """Return the name of the cluster's leader as this member's Patroni sees it, "" if it can't."""
    try:
        leader = _patroni().cluster().leader
    except (ClientError, OSError):
        return ""
    return leader.name if leader else ""


def _leads() -> bool:
    """Tell whether this member holds the leader's lock; a Patroni that is off has no say."""
    try:
        return _patroni().healthy("/primary")
    except (ClientError, OSError):
        return True


def _patroni() -> Patroni:
    return Patroni.of_pillar(__pillar__["pigsty"]["pgsql"])
