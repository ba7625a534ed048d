"""The state of the clock: time zone, and chrony."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.render.files import File

__virtualname__ = "pigsty_clock"

ZONES = Path("/usr/share/zoneinfo")
LOCALTIME = Path("/etc/localtime")


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def set_up(name: str) -> dict[str, Any]:
    """Keep the time zone, and chrony with its configuration.

    Where the machine may not set its clock (a container), chrony is configured and enabled, but not
    expected to run; that is noted.

    Args:
        name: the state's name.
    """
    node = __pillar__["pigsty"]["node"]
    zone, ntp = node["node_timezone"], node["ntp"]

    def plan() -> dict[str, Any]:
        changes = _zone(zone)
        return {**changes, **_chrony(ntp)} if ntp else changes

    def act(changes: dict[str, Any]) -> None:
        if "timezone" in changes:
            _set_zone(zone)
        if ntp is None:
            return
        unit = ntp["unit"]
        settings = [File(ntp["conf"], ntp["text"])]
        if __salt__["pigsty_file.changes"](settings):
            if __salt__["pigsty_systemd.show"](unit)[unit].get("ActiveState") == "active":
                __salt__["pigsty_systemd.owe"](unit, "restart")
            __salt__["pigsty_file.converge"](settings)
        __salt__["pigsty_systemd.enact"]({unit: changes.get(unit, {})})
        __salt__["pigsty_systemd.pay"](unit)

    errors = (CommandExecutionError, OSError)
    return converge(name, "the clock", plan, act, test=__opts__["test"], errors=errors)


def _zone(wanted: str) -> dict[str, Any]:
    """Return the change of the time zone, empty when it is right or not ours to set."""
    now = str(LOCALTIME.resolve()).removeprefix(f"{ZONES}/") if LOCALTIME.exists() else ""
    return {"timezone": {"old": now, "new": wanted}} if wanted and now != wanted else {}


def _set_zone(wanted: str) -> None:
    """Set the time zone."""
    target = ZONES / wanted
    if ".." in target.parts or not target.is_file():
        raise CommandExecutionError(f"there is no time zone {wanted!r} in {ZONES}")
    staged = LOCALTIME.with_name(".localtime.new")
    staged.unlink(missing_ok=True)
    staged.symlink_to(target)
    staged.replace(LOCALTIME)
    __salt__["pigsty_file.converge"]([File("/etc/timezone", f"{wanted}\n")])


def _chrony(ntp: dict[str, str]) -> dict[str, Any]:
    """Return the changes of chrony's configuration and unit."""
    unit = ntp["unit"]
    changes: dict[str, Any] = __salt__["pigsty_file.changes"]([File(ntp["conf"], ntp["text"])])
    status = __salt__["pigsty_systemd.show"](unit)[unit]
    service = __salt__["pigsty_systemd.plan"](unit, status).get(unit, {})
    if not __salt__["pigsty_kernel.allows"]("clock"):
        __salt__["pigsty_note.add"]("clock", "this machine may not set it, so chrony does not run")
        service.pop("active", None)
    elif __salt__["pigsty_systemd.owed"](unit):
        service["configuration"] = {"old": "another one is loaded", "new": "restart"}
    return {**changes, unit: service} if service else changes
