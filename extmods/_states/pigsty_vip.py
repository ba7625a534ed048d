"""The state of a node's floating address: keepalived."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.render import keepalived
from pigsty.render.files import BANNER, File

__virtualname__ = "pigsty_vip"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def floating(name: str) -> dict[str, Any]:
    """Keep keepalived with the node's floating address; without one, stop what was ours.

    Args:
        name: the state's name.
    """
    vip = __pillar__["pigsty"]["node"]["vip"]
    unit = keepalived.UNIT

    def files() -> list[File]:
        old = __salt__["pigsty_file.read"](keepalived.CONF)
        if vip is not None:
            # VRRP's password stands in it.
            return [File(keepalived.CONF, _conf(vip), mode="0640", secret=True)]
        ours = old is not None and old.startswith(BANNER)
        return [File(keepalived.CONF, None, secret=True)] if ours else []

    def plan() -> dict[str, Any]:
        changes: dict[str, Any] = __salt__["pigsty_file.changes"](files())
        owed = __salt__["pigsty_systemd.owed"](unit)
        if vip is None and not changes and not owed:
            return {}
        status = __salt__["pigsty_systemd.show"](unit)[unit]
        service = __salt__["pigsty_systemd.plan"](unit, status, vip is not None).get(unit, {})
        if owed and "active" not in service:
            service["configuration"] = {"old": "another one is loaded", "new": owed}
        return {**changes, unit: service} if service else changes

    def act(changes: dict[str, Any]) -> None:
        if keepalived.CONF in changes:
            # Stopping comes first in the order of debts: the file that says "ours" goes last.
            if vip is None:
                __salt__["pigsty_systemd.enact"]({unit: changes.get(unit, {})})
            elif "active" not in changes.get(unit, {}):
                __salt__["pigsty_systemd.owe"](unit, "reload")
            __salt__["pigsty_file.converge"](files())
        __salt__["pigsty_systemd.enact"]({unit: changes.get(unit, {})} if vip else {})
        __salt__["pigsty_systemd.pay"](unit)

    errors = (CommandExecutionError,)
    return converge(name, "the floating address", plan, act, test=__opts__["test"], errors=errors)


def _conf(vip: dict[str, Any]) -> str:
    """Return the configuration; the interface ``auto`` is the one with the node's address."""
    interface = vip["interface"]
    if interface == "auto":
        carrying = [
            device
            for device, addresses in sorted(__grains__.get("ip4_interfaces", {}).items())
            if vip["ip"] in addresses
        ]
        if not carrying:
            raise CommandExecutionError(
                f"no interface has the address {vip['ip']}: set vip_interface"
            )
        interface = carrying[0]
    return keepalived.conf(**{**vip, "interface": interface})
