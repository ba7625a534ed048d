"""The monitoring of an infra node: targets, rules, Prometheus, Alertmanager and the prober."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.deadlines import wait_until
from pigsty.render import prometheus as render
from pigsty.render.exporters import TARGETS
from pigsty.render.files import Directory, File
from pigsty.render.targets import FOLDER, JOBS, metrics

__virtualname__ = "pigsty_monitoring"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def targets(name: str) -> dict[str, Any]:
    """Keep a file for everything that Prometheus shall look at; it sees them by itself.

    What left the inventory leaves the folder; files that people put there stay.

    Args:
        name: the state's name.
    """
    spec = __pillar__["pigsty"]["infra"]["monitoring"]

    def files() -> list[Directory | File]:
        folder = f"{spec['home']}/{FOLDER}"
        found: list[Directory | File] = [Directory(spec["data"])]
        found += [Directory(f"{spec['data']}/{FOLDER}")]
        found += [Directory(f"{spec['data']}/{FOLDER}/{job}") for job in JOBS]
        found += [File(f"{folder}/{path}", text) for path, text in spec["targets"].items()]
        gone = __salt__["pigsty_monitoring.stale"](spec["home"], spec["targets"])
        return found + [File(path, None) for path in gone]

    def plan() -> dict[str, Any]:
        home = Path(spec["home"])
        changes: dict[str, Any] = __salt__["pigsty_file.changes"](files())
        if not home.is_symlink() or str(home.readlink()) != spec["data"]:
            changes[spec["home"]] = {"old": "no link", "new": f"leads to {spec['data']}"}
        return changes

    def act(changes: dict[str, Any]) -> None:
        wanted = files()
        __salt__["pigsty_file.converge"](entry for entry in wanted if isinstance(entry, Directory))
        if spec["home"] in changes:
            __salt__["file.symlink"](spec["data"], spec["home"], force=True)
        __salt__["pigsty_file.converge"](wanted)

    return _converge(name, "the targets", plan, act)


def managed(name: str) -> dict[str, Any]:
    """Keep Prometheus, Alertmanager and the prober running with what was found good.

    Rules and routes that people wrote are checked first. A bad one is refused, with its complaint,
    and what was in use stays in use; everything else is done all the same.

    Args:
        name: the state's name.
    """
    spec = __pillar__["pigsty"]["infra"]["monitoring"]
    own, bad = __salt__["pigsty_monitoring.own_rules"](spec["home"])
    routes, bad_routes = __salt__["pigsty_monitoring.own_routes"](spec["home"])
    bad |= bad_routes
    rules = {**spec["rules"], **own}
    daemons = render.daemons(spec, rules, routes)
    user = {"user": "prometheus", "group": "prometheus"}

    def files() -> list[Directory | File]:
        there = sorted(Path(render.RULES).glob("*"))
        return [
            Directory(spec["prometheus"]["data"], "0750", **user),
            *(Directory(f"{spec['data']}/{part}", "0750", **user) for part in ("alertmgr", "push")),
            *(Directory(f"{spec['data']}/{part}") for part in ("conf", render.OWN_RULES)),
            Directory(render.RULES),
            File(TARGETS, metrics(spec["counts"])),
            *(File(str(path), None) for path in there if path.name not in rules),
        ]

    def plan() -> dict[str, Any]:
        found: dict[str, Any] = __salt__["pigsty_daemon.plan"](daemons, files())
        return found

    def act(changes: dict[str, Any]) -> None:
        unit = f"{spec['units']['prometheus']}.service"
        if spec["prometheus"]["enabled"] and unit in changes:
            __salt__["pigsty_monitoring.check"](render.config(spec), rules)
        __salt__["pigsty_daemon.enact"](daemons, files(), changes)
        if spec["prometheus"]["enabled"]:
            ready = __salt__["pigsty_monitoring.ready"]
            wait_until(ready, "monitoring.ready", "Prometheus answers")

    result = _converge(name, "the monitoring", plan, act)
    if bad:
        said = "; ".join(f"{path} is not used: {why}" for path, why in bad.items())
        result.update(result=False, comment=f"{result['comment']}; {said}")
    return result


def _converge(name: str, subject: str, plan: Any, act: Any) -> dict[str, Any]:
    """Run a state of this module."""
    errors = (CommandExecutionError, OSError)
    return converge(name, subject, plan, act, test=__opts__["test"], errors=errors)
