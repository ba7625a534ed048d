"""State of PostgreSQL's HBA file: who may connect, by the member's live role."""

from __future__ import annotations

import dataclasses
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.errors import PigstyError

__virtualname__ = "pigsty_hba"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def managed(name: str) -> dict[str, Any]:
    """Keep PostgreSQL's HBA file, and the running server in step with it.

    A running server checks the new file before it loads it; a file that it refuses is taken back.
    Until it is reloaded it goes on with the rules that it has, so nobody is locked out meanwhile.

    Args:
        name: path of the file.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    try:
        file = __salt__["pigsty_hba.file"]("postgres", name)
        changes = __salt__["pigsty_file.changes"]([file])
        reload = bool(changes) or __salt__["pigsty_hba.stale"](name)
        if reload and not changes:
            changes["loaded"] = {"old": "other rules", "new": "reload"}
        ret["changes"] = changes
        if not changes:
            ret["comment"] = "PostgreSQL has its HBA rules"
            return ret
        if __opts__["test"]:
            ret.update(result=None, comment="PostgreSQL's HBA rules would be changed")
            return ret
        if not __salt__["pigsty_hba.prepared"](name):
            raise CommandExecutionError(
                "no PostgreSQL lives on this machine yet: `pigsty pgsql add CLUSTER` makes it"
            )
        old = __salt__["pigsty_file.read"](name)
        __salt__["pigsty_file.converge"]([file])
        refused = __salt__["pigsty_hba.errors"]()
        if refused:
            if old is not None:
                __salt__["pigsty_file.converge"]([dataclasses.replace(file, contents=old)])
            ret.update(result=False, changes={})
            ret["comment"] = f"PostgreSQL refuses the new HBA rules: {'; '.join(refused)}"
            return ret
        running = __salt__["pigsty_hba.reload"]()
    except (CommandExecutionError, PigstyError) as err:
        ret.update(result=False, comment=str(err))
        return ret
    ret["comment"] = f"HBA rules {'loaded' if running else 'written; PostgreSQL is not running'}"
    return ret
