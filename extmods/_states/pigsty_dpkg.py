"""The state of a machine's packages: none is half installed."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge

__virtualname__ = "pigsty_dpkg"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def whole(name: str) -> dict[str, Any]:
    """Finish packages that a run which was cut off has left half installed.

    Args:
        name: the state's name.
    """

    def plan() -> dict[str, Any]:
        half = __salt__["pigsty_dpkg.half"]()
        return {package: {"old": state, "new": "installed"} for package, state in half.items()}

    def act(_: dict[str, Any]) -> None:
        # The run that was cut off may go on without us.
        __salt__["pigsty_dpkg.await_others"]()
        if __salt__["pigsty_dpkg.half"]():
            __salt__["pigsty_dpkg.finish"]()

    errors = (CommandExecutionError,)
    return converge(name, "the packages", plan, act, test=__opts__["test"], errors=errors)
