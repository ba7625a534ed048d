"""The dashboards as the portal's own pages read them: JSON beside static files.

The pages themselves stand in ``states/infra/portal`` and know nothing of PostgreSQL; what is shown
is in these files. ``menu.json`` lists the pages, ``pages/<uid>.json`` holds one, and ``site.json``
says what this infra node has beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pigsty.dashboards.common import GROUPS
from pigsty.dashboards.model import (
    MARKED,
    Column,
    Dashboard,
    Key,
    Limits,
    Link,
    Mark,
    Panel,
    Variable,
)
from pigsty.logserver import PREFIX as LOGS
from pigsty.render.grafana import PATH as GRAFANA

#: The portal's files below the web server's folder, and their address.
FOLDER = "portal"


def files(pages: Iterable[Dashboard], site: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each file by its path below the portal's folder.

    Args:
        pages: the dashboards, in the order of the menu.
        site: what :func:`site` makes of an infra node's pillar.
    """
    pages = tuple(pages)
    titles = {page.uid: page.title for page in pages}
    found = {f"pages/{page.uid}.json": _text(document(page, titles)) for page in pages}
    found["menu.json"] = _text(menu(pages))
    found["site.json"] = _text(site)
    return found


def site(infra: Mapping[str, Any], *, grafana: bool = False) -> dict[str, Any]:
    """Return what an infra node has beside the dashboards, for the home page.

    Args:
        infra: ``pigsty:infra`` of its pillar.
        grafana: whether Grafana is installed there.

    Returns:
        ``name``, ``grafana`` (its path, empty without it), ``programs`` (paths of what is behind
        the portal), ``machines`` (names of HAProxy's admin pages), ``sites`` (services under names
        of their own), ``repository`` (its path, empty for none), ``logs`` (whether there is a page
        that searches them).
    """
    nginx = infra["nginx"]
    secure = nginx["sslmode"] != "disable"
    return {
        "grafana": f"{GRAFANA}/" if grafana else "",
        "name": infra["name"],
        "programs": [
            {"path": f"{program['path']}/"}
            for program in nginx["programs"]
            if program["path"] != LOGS
        ],
        "machines": sorted(nginx["machines"]),
        "sites": [
            {"address": f"{'https' if secure else 'http'}://{entry['domains'][0]}/"}
            for entry in nginx["sites"]
        ],
        "repository": f"/{infra['repo']['name']}/" if infra["repo"]["enabled"] else "",
        "logs": bool(infra["logs"]["enabled"]),
    }


def menu(pages: Iterable[Dashboard]) -> list[dict[str, Any]]:
    """Return the menu: its groups with their pages."""
    shown = [page for page in pages if not page.hidden]
    return [
        {
            "title": group,
            "pages": [
                {"uid": page.uid, "title": page.title, "meaning": page.meaning}
                for page in shown
                if page.group == group
            ],
        }
        for group in GROUPS
    ]


def document(page: Dashboard, titles: Mapping[str, str]) -> dict[str, Any]:
    """Return one page.

    Args:
        page: the dashboard.
        titles: of all pages by ``uid``, for links that have none of their own.
    """
    return {
        "uid": page.uid,
        "title": page.title,
        "group": page.group,
        "meaning": page.meaning,
        "variables": [_variable(variable) for variable in page.variables],
        "links": [_link(link, titles) for link in page.links],
        "logged": list(page.logged()),
        "marks": [_mark(mark) for mark in page.marks],
        "rows": [
            {"title": row.title, "panels": [_panel(panel, titles) for panel in row.panels]}
            for row in page.rows
        ],
    }


def _mark(mark: Mark) -> dict[str, Any]:
    found = {"title": mark.title, "expr": mark.expr, "legend": mark.legend, "bad": mark.bad}
    return {**found, "lasts": MARKED}


def _panel(panel: Panel, titles: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": panel.kind,
        "title": panel.title,
        "unit": panel.unit,
        "width": panel.width,
        "height": panel.height,
        "queries": [{"expr": made.expr, "legend": made.legend} for made in panel.expressions()],
        "programs": list(panel.programs()),
        "meaning": panel.meaning,
        "empty": panel.empty,
        **_limits(panel.limits),
    }
    if panel.kind == "table":
        found["keys"] = [_key(key, titles) for key in panel.keys]
        found["columns"] = [_column(column, titles) for column in panel.columns]
    if panel.stack:
        found["stack"] = True
    if panel.top:
        found["top"] = panel.top
    if panel.link is not None:
        found["link"] = _link(panel.link, titles)
    return found


def _key(key: Key, titles: Mapping[str, str]) -> dict[str, Any]:
    link = {} if key.link is None else {"link": _link(key.link, titles)}
    return {"label": key.label, "title": key.title, **link}


def _column(column: Column, titles: Mapping[str, str]) -> dict[str, Any]:
    link = {} if column.link is None else {"link": _link(column.link, titles)}
    label = {"label": column.label} if column.label else {}
    return {"title": column.title, "unit": column.unit, **label, **_limits(column.limits), **link}


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "title": variable.title,
        "metric": variable.metric,
        "label": variable.label,
        "all": variable.all,
    }


def _limits(limits: Limits | None) -> dict[str, Any]:
    return {} if limits is None else {"limits": {"warn": limits.warn, "bad": limits.bad}}


def _link(link: Link, titles: Mapping[str, str]) -> dict[str, Any]:
    title = link.title or titles[link.to]
    return {"to": link.to, "carry": dict(sorted(link.carry.items())), "title": title}


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
