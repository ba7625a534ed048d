"""Logs: what sends those of a node, and what keeps them on an infra node."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import logs, logserver
from pigsty.convergence import converge
from pigsty.render import logs as render
from pigsty.render.daemon import Daemon
from pigsty.render.files import Directory, File

__virtualname__ = "pigsty_logs"

#: The system's own rsyslog, and what keeps it from being started.
_RSYSLOG, _PROGRAM, _NOTHING = "rsyslog.service", "/usr/sbin/rsyslogd", "/dev/null"
_MASK = Path(f"/etc/systemd/system/{_RSYSLOG}")
#: How much of its file system the logs of an infra node take at most.
_SHARE = 5
_ERRORS = (CommandExecutionError, OSError)


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def guarded(name: str) -> dict[str, Any]:
    """Keep a system without rsyslog from running its daemon, once its package is there for ours.

    It would write everything that the journal has into files a second time. Where rsyslog is in
    use already, it stays so.

    Args:
        name: the state's name.
    """

    def plan() -> dict[str, Any]:
        if Path(_PROGRAM).exists() or _MASK.is_symlink() or not _spec()["infra"]:
            return {}
        return {_RSYSLOG: {"old": "absent", "new": "masked"}}

    def act(_: dict[str, Any]) -> None:
        _MASK.symlink_to(_NOTHING)

    return _converge(name, "the system's rsyslog", plan, act)


def sent(name: str) -> dict[str, Any]:
    """Keep the logs of this node going to every infra node that keeps them.

    Args:
        name: the state's name.
    """
    spec = _spec()
    targets = [render.upload(infra["name"], infra["ip"]) for infra in spec["infra"]]
    daemons = [render.forwarder([(program, path) for program, path in spec["files"]]), *targets]

    def gone() -> list[str]:
        kept = {daemon.unit for daemon in targets}
        there = (file.name for file in Path(render.UNITS).glob(f"{render.UPLOAD}*.service"))
        return sorted(unit for unit in there if unit not in kept)

    def plan() -> dict[str, Any]:
        changes: dict[str, Any] = __salt__["pigsty_daemon.plan"](daemons)
        return changes | {unit: {"old": "sends", "new": "removed"} for unit in gone()}

    def act(changes: dict[str, Any]) -> None:
        for unit in gone():
            __salt__["pigsty_systemd.act"]("disable", "--now", unit)
            Path(f"{render.UNITS}/{unit}").unlink()
        __salt__["pigsty_daemon.enact"](daemons, (), changes)

    return _converge(name, "what sends the logs", plan, act)


def kept(name: str) -> dict[str, Any]:
    """Keep the logs that nodes send to this infra node, and the search in them.

    Args:
        name: the state's name.
    """
    pillar = __pillar__["pigsty"]
    spec = pillar["infra"]["logs"]
    folder, rows = spec["folder"], spec["hosts"]
    user = {"user": render.USER, "group": render.USER}

    def daemons() -> list[Daemon]:
        found = render.store(spec, _cap(folder, spec["cap"]), _library())
        if not spec["enabled"]:
            stopped = [Daemon(daemon.unit, running=False) for daemon in found]
            shut = Daemon("nginx.service", reload=(File(render.NGINX, None),))
            return [*stopped, *([shut] if Path(render.NGINX).exists() else [])]
        gate = render.nginx({row["ip"]: row["source"] for row in rows})
        files = (File(render.NGINX, gate), File(render.AUTHORITIES, pillar["meta"]["ca"]))
        return [*found, Daemon("nginx.service", reload=files)]

    def files() -> list[Directory | File]:
        if not spec["enabled"]:
            return [File(render.AGING, None)]
        return [
            Directory(folder, "0750", **user),
            render.aging(folder, spec["retention"]),
            render.hosts(rows),
        ]

    def act(changes: dict[str, Any]) -> None:
        if spec["enabled"] and render.NGINX in changes:
            _checked(daemons()[-1].reload)
        __salt__["pigsty_daemon.enact"](daemons(), files(), changes)

    return _converge(
        name,
        "the logs",
        lambda: __salt__["pigsty_daemon.plan"](daemons(), files()),
        act,
    )


def _checked(files: Sequence[File]) -> None:
    """Write files of nginx, and take them back when nginx refuses them: it must start at a boot."""
    before = [File(file.path, __salt__["pigsty_file.read"](file.path)) for file in files]
    __salt__["pigsty_systemd.owe"]("nginx.service", "reload")
    __salt__["pigsty_file.converge"](files)
    checked = __salt__["cmd.run_all"]("nginx -t -q", python_shell=False)
    if checked["retcode"]:
        __salt__["pigsty_file.converge"](before)
        raise CommandExecutionError(f"nginx refuses its configuration: {checked['stderr']}")


def _spec() -> dict[str, Any]:
    """Return what this node sends."""
    return dict(__pillar__["pigsty"]["node"]["logs"])


def _library() -> dict[str, str]:
    """Return the code of the search, by file name."""
    found = {Path(part.__file__).name: Path(part.__file__).read_text("utf-8")
             for part in (logs, logserver)}  # fmt: skip
    return {"__init__.py": "", **found}


def _converge(name: str, subject: str, plan: Any, act: Any) -> dict[str, Any]:
    """Run a state of this module."""
    return converge(name, subject, plan, act, test=__opts__["test"], errors=_ERRORS)


def _cap(folder: str, declared: int) -> int:
    """Return how much the logs may take: what is declared, and never the most of the disk."""
    place = Path(folder)
    while not place.exists():
        place = place.parent
    status = os.statvfs(place)
    return min(declared, status.f_blocks * status.f_frsize // _SHARE)
