"""States of floating addresses: a node's (keepalived), and that of a leader (vip-manager)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.render import keepalived, vipmanager
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

    def files() -> list[File]:
        if vip is None:
            return keepalived.gone()
        return keepalived.files(vip, _interface(vip, "vip_interface"))

    subject = "the floating address"
    return _keep(name, _Daemon(subject, keepalived.UNIT, "reload", vip is not None, files))


def leader(name: str) -> dict[str, Any]:
    """Keep vip-manager with the address of the cluster's leader; without one, stop what was ours.

    Args:
        name: the state's name.
    """
    spec = __pillar__["pigsty"]["pgsql"]
    vip = spec["vip"]

    def files() -> list[File]:
        if vip is None:
            return vipmanager.gone(spec["platform"]["patroni_unit"])
        return vipmanager.files(vip, _interface(vip, "pg_vip_interface"))

    reads = () if vip is None else (vipmanager.CONF, vip["authorities"])
    subject = "the leader's floating address"
    return _keep(name, _Daemon(subject, vipmanager.UNIT, "restart", vip is not None, files, reads))


class _Daemon(NamedTuple):
    """A daemon that holds an address.

    Attributes:
        subject: what it is about.
        unit: its unit.
        verb: what makes it read its configuration again.
        wanted: whether it shall run.
        files: returns its files as they shall be; None as contents where they shall go. The first
            is its configuration, whose first line says whether it is ours.
        reads: files that it reads only when it starts.
    """

    subject: str
    unit: str
    verb: str
    wanted: bool
    files: Callable[[], list[File]]
    reads: tuple[str, ...] = ()


def _keep(name: str, daemon: _Daemon) -> dict[str, Any]:
    """Keep a daemon with its files, or without what was ours of it."""
    unit = daemon.unit

    def files() -> list[File]:
        found = daemon.files()
        return found if daemon.wanted or _ours(found[0].path) else []

    def plan() -> dict[str, Any]:
        changes: dict[str, Any] = __salt__["pigsty_file.changes"](files())
        owed = __salt__["pigsty_systemd.owed"](unit)
        if not daemon.wanted and not changes and not owed:
            return {}
        status = __salt__["pigsty_systemd.show"](unit)[unit]
        service = __salt__["pigsty_systemd.plan"](unit, status, daemon.wanted).get(unit, {})
        pid = int(status.get("MainPID") or 0)
        if daemon.wanted and daemon.reads and "active" not in service and not owed:
            stale = __salt__["pigsty_loaded.stale"](unit, pid, daemon.reads)
            owed = daemon.verb if stale else ""
        if owed and "active" not in service:
            service["configuration"] = {"old": "another one is loaded", "new": owed}
        return {**changes, unit: service} if service else changes

    def act(changes: dict[str, Any]) -> None:
        service = {unit: changes.get(unit, {})}
        if not daemon.wanted:
            # It takes the place of what was owed before: nothing may start it again.
            __salt__["pigsty_systemd.owe"](unit, "stop")
            __salt__["pigsty_systemd.enact"](service)
        elif "active" not in service[unit] and (
            set(changes) - {unit} or "configuration" in service[unit]
        ):
            __salt__["pigsty_systemd.owe"](unit, daemon.verb)
        # Backwards: the configuration, which says "ours", is the last to go.
        __salt__["pigsty_file.converge"](files()[:: 1 if daemon.wanted else -1])
        # Some of them are additions to units.
        __salt__["pigsty_systemd.act"]("daemon-reload")
        __salt__["pigsty_systemd.enact"](service if daemon.wanted else {})
        __salt__["pigsty_systemd.pay"](unit)
        if daemon.wanted and daemon.reads:
            __salt__["pigsty_loaded.mark"](unit, daemon.reads)

    errors = (CommandExecutionError,)
    return converge(name, daemon.subject, plan, act, test=__opts__["test"], errors=errors)


def _ours(path: str) -> bool:
    text = __salt__["pigsty_file.read"](path)
    return text is not None and text.startswith(BANNER)


def _interface(vip: dict[str, Any], parameter: str) -> str:
    """Return the interface; ``auto`` is the one with the node's address."""
    if vip["interface"] != "auto":
        return str(vip["interface"])
    for device, addresses in sorted(__grains__.get("ip4_interfaces", {}).items()):
        if vip["ip"] in addresses:
            return str(device)
    raise CommandExecutionError(f"no interface has the address {vip['ip']}: set {parameter}")
