"""States of a PostgreSQL member that is removed: stopped, deleted, forgotten, in this order.

Each finds what is left by the member's own record, so that a removal that was cut off goes on where
it stopped; without a record nothing is left, and nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.render import haproxy, record
from pigsty.render.files import File

__virtualname__ = "pigsty_removal"

_GONE = {"old": "there", "new": None}


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def stopped(name: str, last: bool = False) -> dict[str, Any]:
    """Have the member's daemons stopped and its schedule and services gone.

    PostgreSQL is stopped by Patroni, with a checkpoint. A member that leads is refused, unless it
    is the last one.

    Args:
        name: the member.
        last: the whole cluster goes.
    """

    def plan() -> dict[str, Any]:
        own = __salt__["pigsty_removal.of"](name)
        if own is None:
            return {}
        units = __salt__["pigsty_removal.units"](own)
        if units and not last and __salt__["pigsty_removal.leads"](own):
            raise CommandExecutionError(f"{name} leads {own.cluster}: nothing was done")
        if __salt__["pigsty_removal.postmaster"](own):
            units[own.data] = {"old": "a server runs on it", "new": "stopped"}
        files = [*__salt__["pigsty_removal.schedule"](), *__salt__["pigsty_removal.routes"](own)]
        return {**_there(files), **units}

    def act(changes: dict[str, Any]) -> None:
        own = __salt__["pigsty_removal.of"](name)
        __salt__["pigsty_file.converge"](__salt__["pigsty_removal.schedule"]())
        routes = __salt__["pigsty_removal.routes"](own)
        __salt__["pigsty_file.converge"](routes)
        status = __salt__["pigsty_systemd.show"](haproxy.UNIT)[haproxy.UNIT]
        if routes and status.get("ActiveState") == "active":
            __salt__["pigsty_haproxy.reload"]()
        __salt__["pigsty_removal.halt"](own, __salt__["pigsty_removal.units"](own))

    return _converge(name, "daemons", plan, act)


def deleted(name: str, data: bool = True, backups: bool = False) -> dict[str, Any]:
    """Have the member's files gone; its data and backups only where that is said.

    Args:
        name: the member.
        data: delete the data.
        backups: delete the stanza in the repository.
    """

    def plan() -> dict[str, Any]:
        own = __salt__["pigsty_removal.of"](name)
        if own is None:
            return {}
        changes = _there(__salt__["pigsty_removal.files"](own))
        for path in __salt__["pigsty_removal.folders"](own, data, backups):
            changes[path] = _GONE
        if backups:
            changes |= __salt__["pigsty_removal.stanza"](own)
        return dict(changes)

    def act(changes: dict[str, Any]) -> None:
        own = __salt__["pigsty_removal.of"](name)
        if backups and __salt__["pigsty_removal.stanza"](own):
            __salt__["pigsty_removal.delete_stanza"](own)
        __salt__["pigsty_removal.delete"](__salt__["pigsty_removal.folders"](own, data, backups))
        __salt__["pigsty_file.converge"](__salt__["pigsty_removal.files"](own))
        __salt__["pigsty_systemd.act"]("daemon-reload")

    return _converge(name, "files", plan, act)


def forgotten(name: str) -> dict[str, Any]:
    """Have the member's record gone, by which the other states find it: the last step.

    Args:
        name: the member.
    """

    def files() -> list[File]:
        __salt__["pigsty_removal.of"](name)
        return [File(record.PATH, None)]

    return _converge(
        name,
        "record",
        lambda: _there(files()),
        lambda _: __salt__["pigsty_file.converge"](files()),
    )


def _there(files: Iterable[File]) -> dict[str, Any]:
    """Return the files that are there and shall not be; what stands in them is of no interest."""
    return dict.fromkeys(__salt__["pigsty_file.changes"](files), _GONE)


def _converge(name: str, what: str, plan: Any, act: Any) -> dict[str, Any]:
    errors = (CommandExecutionError, OSError)
    return converge(name, f"{what} of {name}", plan, act, test=__opts__["test"], errors=errors)
