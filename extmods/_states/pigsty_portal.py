"""The portal's own pages on an infra node: static files, and the dashboards that they draw."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.dashboards import PAGES
from pigsty.render import portal
from pigsty.render.files import Directory, File, summary

__virtualname__ = "pigsty_portal"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def managed(name: str) -> dict[str, Any]:
    """Keep the portal's folder as this release has it; what an older one left there goes.

    Args:
        name: the state's name.
    """
    pigsty = __pillar__["pigsty"]
    folder = f"{pigsty['infra']['nginx']['home']}/{portal.FOLDER}"

    def files() -> list[Directory | File]:
        spec = pigsty["infra"]["grafana"]
        there = spec["enabled"] and bool(__salt__["pkg.version"](spec["package"]))
        site = portal.site(pigsty["infra"], grafana=there)
        texts = {**__salt__["pigsty_portal.sources"](), **portal.files(PAGES, site)}
        folders = {path.rpartition("/")[0] for path in texts} - {""}
        found: list[Directory | File] = [Directory(folder)]
        found += [Directory(f"{folder}/{path}") for path in sorted(folders)]
        found += [File(f"{folder}/{path}", text) for path, text in sorted(texts.items())]
        return found + [File(path, None) for path in __salt__["pigsty_portal.stale"](folder, texts)]

    def plan() -> dict[str, Any]:
        changes: dict[str, Any] = __salt__["pigsty_file.changes"](files())
        # Nobody reads a diff of a chart library.
        return {path: summary(change) for path, change in changes.items()}

    def act(_changes: dict[str, Any]) -> None:
        __salt__["pigsty_file.converge"](files())

    errors = (CommandExecutionError, OSError)
    return converge(name, "the portal's pages", plan, act, test=__opts__["test"], errors=errors)
