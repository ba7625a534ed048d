"""States of backups: pgBackRest's files, then stanza and first full backup on the live leader."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

__virtualname__ = "pigsty_pgbackrest"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def configured(name: str) -> dict[str, Any]:
    """Keep pgBackRest's configuration and folders, and the schedule of the superuser.

    It comes before Patroni, so that the first WAL segment finds where to go.

    Args:
        name: the state's name.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    try:
        files = __salt__["pigsty_pgbackrest.files"]()
        ret["changes"] = __salt__["pigsty_file.changes"](files)
        if ret["changes"] and not __opts__["test"]:
            __salt__["pigsty_file.converge"](files)
    except CommandExecutionError as err:
        return {**ret, "result": False, "comment": str(err)}
    return _said(ret, "the files of pgBackRest are as they shall be")


def managed(name: str) -> dict[str, Any]:
    """Keep a stanza, and at least one full backup, in the repository of the member that leads now.

    Another member with a repository of its own gets the stanza there, so that WAL is archived from
    the moment in which it comes to lead.

    Args:
        name: the cluster.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    try:
        ret["changes"] = __salt__["pigsty_pgbackrest.plan"]()
        if ret["changes"] and not __opts__["test"]:
            __salt__["pigsty_pgbackrest.carry_out"](ret["changes"])
    except CommandExecutionError as err:
        if _lost():
            return {**ret, "changes": {}, "comment": f"the lead of {name} went to another member"}
        return {**ret, "changes": {}, "result": False, "comment": str(err)}
    return _said(ret, f"backups of {name} have what they need here")


def _lost() -> bool:
    """Whether this member follows another now, and lacks nothing that one who follows needs."""
    try:
        role = __salt__["pigsty_patroni.live_role"]()
        return role == "replica" and not __salt__["pigsty_pgbackrest.plan"]()
    except CommandExecutionError:
        return False


def _said(ret: dict[str, Any], fine: str) -> dict[str, Any]:
    if not ret["changes"]:
        return {**ret, "comment": fine}
    if __opts__["test"]:
        return {**ret, "result": None, "comment": "backups would be changed"}
    return {**ret, "comment": "backups have been changed"}
