"""State of Patroni's dynamic configuration: what all members of a cluster share."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.errors import PigstyError
from pigsty.render.dynamic import SETTINGS, restarts

__virtualname__ = "pigsty_dynamic"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def managed(name: str) -> dict[str, Any]:
    """Keep the DCS as the inventory has it; done by the member that leads.

    PostgreSQL takes most settings at once on every member. Those that it reads at its start only
    wait for a restart, which is never done here; the comment names them. Nor is a cluster promoted
    or demoted here: that it isn't what the inventory says is a warning. What a member
    could not start with is left out, told, and fails the state; the rest is changed.

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
        refused = __salt__["pigsty_dynamic.refused"](found, not __opts__["test"])
        found = {path: change for path, change in found.items() if path not in refused}
        ret["changes"] = found
        if not found:
            ret["comment"] = "The DCS was left as it is"
        elif __opts__["test"]:
            ret.update(result=None, comment="The DCS would be changed" + _later(restarts(found)))
        else:
            waiting = __salt__["pigsty_dynamic.apply"](found)
            ret["comment"] = "The DCS was changed" + _later(waiting)
        if refused:
            # A state that would fail in a real run says so in a trial, too.
            told = [f"{path.removeprefix(SETTINGS)}: {why}" for path, why in refused.items()]
            ret.update(result=False, comment="\n".join([ret["comment"], *told]))
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
