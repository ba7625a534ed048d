"""States of a machine that leaves: our daemons stopped, our files deleted, in this order."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import departure
from pigsty.convergence import converge

__virtualname__ = "pigsty_departure"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def stopped(name: str) -> dict[str, Any]:
    """Have the daemons that our states configured stopped, and not started at boot.

    Args:
        name: a label.
    """

    def plan() -> dict[str, Any]:
        units = departure.units(__salt__["pigsty_departure.drop_ins"]())
        changes: dict[str, Any] = {}
        for unit, found in (__salt__["pigsty_systemd.show"](*units) if units else {}).items():
            if found.get("LoadState") != "not-found":
                changes |= __salt__["pigsty_systemd.plan"](unit, found, False)
        return changes

    enact = __salt__["pigsty_systemd.enact"]
    test, subject = __opts__["test"], "our daemons"
    return converge(name, subject, plan, enact, test=test, errors=(CommandExecutionError,))


def deleted(name: str) -> dict[str, Any]:
    """Have our files gone, and our names out of /etc/hosts.

    Args:
        name: a label.
    """

    def plan() -> dict[str, Any]:
        found: dict[str, Any] = __salt__["pigsty_file.changes"](
            __salt__["pigsty_departure.files"]()
        )
        return found

    def act(_changes: dict[str, Any]) -> None:
        __salt__["pigsty_file.converge"](__salt__["pigsty_departure.files"]())
        __salt__["pigsty_systemd.act"]("daemon-reload")
        # It takes out of the system's list what is no more in its folder.
        __salt__["cmd.retcode"](["update-ca-certificates"], python_shell=False)

    test, subject = __opts__["test"], "our files"
    return converge(name, subject, plan, act, test=test, errors=(CommandExecutionError,))
