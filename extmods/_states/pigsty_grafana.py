"""Grafana on infra nodes whose package sources have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.dashboards import PAGES
from pigsty.render import grafana
from pigsty.render.files import File, summary

__virtualname__ = "pigsty_grafana"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def managed(name: str) -> dict[str, Any]:
    """Keep Grafana running with the deployment's dashboards and data sources.

    Where it is not installed and no source has its package, nothing is done, and said so: the
    portal's own pages show the same.

    Args:
        name: the state's name.
    """
    infra = __pillar__["pigsty"]["infra"]
    spec, logs = infra["grafana"], bool(infra["logs"]["enabled"])
    package = spec["package"]
    if spec["enabled"] and not _there(package) and not _offered(package):
        said = f"no source has the package {package}: the portal's own pages show the same"
        return {"name": name, "result": True, "changes": {}, "comment": said}
    daemons = [grafana.daemon(spec)]

    def files() -> list[File]:
        wanted = grafana.files(PAGES, logs=logs) if spec["enabled"] else []
        known = {file.path for file in wanted}
        there = (str(path) for path in sorted(Path(grafana.FOLDER).glob("*.json")))
        return [*wanted, *(File(path, None) for path in there if path not in known)]

    def plan() -> dict[str, Any]:
        missing = spec["enabled"] and not _there(package)
        changes = {package: {"old": "", "new": "installed"}} if missing else {}
        found = __salt__["pigsty_daemon.plan"](daemons, files())
        # Nobody reads a diff of a dashboard's JSON.
        own = (path for path in found if path.startswith(f"{grafana.FOLDER}/"))
        return {**changes, **found, **{path: summary(found[path]) for path in own}}

    def act(changes: dict[str, Any]) -> None:
        if package in changes:
            __salt__["pkg.install"](package, install_recommends=False, refresh=False)
        __salt__["pigsty_daemon.enact"](daemons, files(), changes)

    errors = (CommandExecutionError, OSError)
    return converge(name, "Grafana", plan, act, test=__opts__["test"], errors=errors)


def _there(package: str) -> bool:
    return bool(__salt__["pkg.version"](package))


def _offered(package: str) -> bool:
    # Of a package that no source has, Salt 3008.3 answers with a mapping instead of a text.
    found = __salt__["pkg.latest_version"](package, refresh=False)
    return bool(found.get(package) if isinstance(found, dict) else found)
