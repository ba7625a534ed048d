"""The state of a node's packet filter."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.render import firewall
from pigsty.render.files import File

__virtualname__ = "pigsty_firewall"

#: Filters that other tools run; two at a time would contradict each other.
OTHERS = ("ufw.service", "firewalld.service")


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def filtered(name: str) -> dict[str, Any]:
    """Keep the packet filter: ``zone`` is ours, ``off`` stops all, ``none`` is the operator's.

    Args:
        name: the state's name.
    """
    wanted = __pillar__["pigsty"]["node"]["firewall"]
    mode, rules = wanted["mode"], wanted["rules"]
    unit_text = firewall.unit() if rules else None
    files = [File(firewall.RULES, rules), File(firewall.UNIT_FILE, unit_text)]
    unit = firewall.UNIT

    def plan() -> dict[str, Any]:
        changes: dict[str, Any] = __salt__["pigsty_file.changes"](files)
        owed = __salt__["pigsty_systemd.owed"](unit)
        if mode == "none" and not changes:
            return {}
        units = [unit, *([] if mode == "none" else OTHERS)]
        for name, status in __salt__["pigsty_systemd.show"](*units).items():
            running = name == unit and mode == "zone"
            if running or status["LoadState"] != "not-found":
                changes.update(__salt__["pigsty_systemd.plan"](name, status, running))
        if owed and "active" not in changes.get(unit, {}):
            changes.setdefault(unit, {})["rules"] = {"old": "others are loaded", "new": owed}
        return changes

    def act(changes: dict[str, Any]) -> None:
        services = {name: change for name, change in changes.items() if name.endswith(".service")}
        services.pop(firewall.UNIT_FILE, None)
        if rules is None:
            __salt__["pigsty_systemd.enact"](services)
            __salt__["pigsty_file.converge"](files)
            __salt__["pigsty_systemd.act"]("daemon-reload")
            return
        # Rules that nftables refuses are not even written.
        __salt__["pigsty_command.run"](["/usr/sbin/nft", "--check", "--file", "-"], stdin=rules)
        if firewall.RULES in changes and "active" not in services.get(unit, {}):
            __salt__["pigsty_systemd.owe"](unit, "reload")
        __salt__["pigsty_file.converge"](files)
        if firewall.UNIT_FILE in changes:
            __salt__["pigsty_systemd.act"]("daemon-reload")
        __salt__["pigsty_systemd.enact"](services)
        __salt__["pigsty_systemd.pay"](unit)

    errors = (CommandExecutionError,)
    return converge(name, "the packet filter", plan, act, test=__opts__["test"], errors=errors)
