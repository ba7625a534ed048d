"""State of Patroni's dynamic configuration: what all members of a cluster share."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.errors import PigstyError
from pigsty.render.dynamic import restarts

__virtualname__ = "pigsty_dynamic"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def managed(name: str) -> dict[str, Any]:
    """Keep the DCS as the inventory has it; done by the member that leads.

    PostgreSQL takes most settings at once on every member. Those that it reads at its start only
    wait for a restart, which is never done here; the comment names them. Nor is a cluster promoted
    or demoted here: that it isn't what the inventory says is a warning.

    Args:
        name: the state's name.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    try:
        found = __salt__["pigsty_dynamic.changes"]()
        if estranged := __salt__["pigsty_dynamic.estranged"]():
            ret["warnings"] = [estranged]
        if not found:
            ret["comment"] = (
                "Left to the leader" if found is None else "The DCS is as the inventory has it"
            )
            return ret
        ret["changes"] = found
        if __opts__["test"]:
            ret.update(result=None, comment="The DCS would be changed" + _later(restarts(found)))
            return ret
        waiting = __salt__["pigsty_dynamic.apply"](found)
        ret["comment"] = "The DCS was changed" + _later(waiting)
    except (CommandExecutionError, PigstyError) as err:
        ret.update(result=False, comment=str(err))
    return ret


def _later(names: list[str]) -> str:
    if not names:
        return ""
    cluster = __pillar__["pigsty"]["pgsql"]["cluster"]
    return (
        f"; {', '.join(names)}: in force after a restart of PostgreSQL "
        f"(pigsty pgsql restart {cluster} --pending)"
    )
