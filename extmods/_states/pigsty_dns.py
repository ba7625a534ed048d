"""Names: dnsmasq on an infra node, with records that follow who leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.render import dns as render
from pigsty.render.daemon import Daemon
from pigsty.render.files import Directory, File

__virtualname__ = "pigsty_dns"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def prepared(name: str) -> dict[str, Any]:
    """Have the configuration there before the package: it starts dnsmasq as soon as it comes.

    Without, it would want every address of the machine, and find port 53 taken on some.

    Args:
        name: the state's name.
    """
    files = [file for file in _daemon().files if file.path == render.CONF]

    def plan() -> dict[str, Any]:
        changes: dict[str, Any] = __salt__["pigsty_file.changes"](files)
        # Once the unit is there, the state that restarts it writes.
        return {} if __salt__["pigsty_systemd.exists"](render.UNIT) else changes

    def act(_: dict[str, Any]) -> None:
        __salt__["pigsty_file.converge"](files)

    return _converge(name, "the configuration of dnsmasq", plan, act)


def served(name: str) -> dict[str, Any]:
    """Keep dnsmasq running, and its records true: a cluster's name leads to who leads it now.

    A name whose cluster nobody leads goes on to lead where it did. Records of what left the
    inventory go; files that people put into the folder stay.

    Args:
        name: the state's name.
    """
    spec = __pillar__["pigsty"]["infra"]["dns"]
    daemon = _daemon()
    leaders = __salt__["pigsty_dns.leaders"](spec["clusters"]) if spec["enabled"] else {}

    def files() -> list[Directory | File]:
        if not spec["enabled"]:
            return []
        wanted = dict(spec["records"])
        for file, cluster in spec["clusters"].items():
            now = render.addresses(_read(f"{render.FOLDER}/{file}"))
            address = render.target(cluster, leaders[file], now[0] if now else "")
            if address:
                wanted[file] = render.record(address, cluster["names"])
        gone = [
            path
            for path in sorted(Path(render.FOLDER).glob("*"))
            if path.name not in wanted and render.ours(_read(str(path)))
        ]
        return [
            Directory(render.FOLDER),
            *(File(f"{render.FOLDER}/{file}", body) for file, body in sorted(wanted.items())),
            *(File(str(path), None) for path in gone),
        ]

    return _converge(
        name,
        "the names",
        lambda: __salt__["pigsty_daemon.plan"]([daemon], files()),
        lambda changes: __salt__["pigsty_daemon.enact"]([daemon], files(), changes),
    )


def _daemon() -> Daemon:
    """Return dnsmasq as it shall be on this machine."""
    resolved = "systemd/resolve" in str(Path(render.RESOLV).resolve())
    upstream = render.RESOLVED if resolved else render.RESOLV
    return render.daemon(__pillar__["pigsty"]["infra"]["dns"], upstream)


def _read(path: str) -> str:
    """Return a file's text, empty where there is none."""
    return __salt__["pigsty_file.read"](path) or ""


def _converge(name: str, subject: str, plan: Any, act: Any) -> dict[str, Any]:
    """Run a state of this module."""
    errors = (CommandExecutionError, OSError)
    return converge(name, subject, plan, act, test=__opts__["test"], errors=errors)
