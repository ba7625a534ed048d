"""The dashboards for Grafana, and the files by which it learns of them and of its data.

The same definitions as the portal's own pages (:mod:`pigsty.render.portal`). Grafana reads its data
sources and dashboards from files at its start, and dashboards again whenever they change; nothing
is pushed to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pigsty.dashboards.model import COLUMNS, Dashboard, Limits, Link, Mark, Panel, Query, Variable
from pigsty.render.daemon import Daemon, drop_in
from pigsty.render.files import BANNER, File, text

#: Names of the data sources, for dashboards of people too.
PROMETHEUS, META = "pigsty-prometheus", "pigsty-meta"
FOLDER = "/var/lib/grafana/pigsty"
PROVISIONING = "/etc/grafana/provisioning"
#: Grafana's path at the portal.
PATH = "/ui"
#: What Grafana is told at its start and nobody else may read.
ENVIRONMENT = "/etc/grafana/pigsty.env"
_META_PASSWORD = "PIGSTY_META_PASSWORD"  # noqa: S105  the variable's name
_PROVIDER = {
    "name": "pigsty",
    "folder": "Pigsty",
    "type": "file",
    "allowUiUpdates": False,
    "updateIntervalSeconds": 30,
    "options": {"path": FOLDER},
}
#: Grafana's page is 24 wide, and a row of its grid is a little lower than ours.
_WIDE = 24 // COLUMNS
_SCHEMA = 39
#: How far apart the points of a mark are asked for, unless the time that is looked at is long.
_FINEST = "15s"
_UNITS = {
    "number": "short",
    "ratio": "percentunit",
    "bytes": "bytes",
    "bytes/s": "binBps",
    "seconds": "s",
    "ms": "ms",
    "ops": "ops",
    "rows/s": "rowsps",
    "time": "dateTimeFromNow",
    "up": "short",
    "yes": "short",
}
_KINDS = {"timeseries": "timeseries", "stat": "stat", "table": "table", "bars": "bargauge"}
#: What lies just above a value that is bad, as a part of the way to one that is well.
_ABOVE = 1e-6
_WORDS = {"up": ("down", "up"), "yes": ("no", "yes")}


def daemon(spec: Mapping[str, Any]) -> Daemon:
    """Return Grafana without its dashboards, which it sees by itself.

    Args:
        spec: ``pigsty:infra:grafana`` of the pillar, see :mod:`pigsty.pillar.grafana`.
    """
    unit = f"{spec['unit']}.service"
    if not spec["enabled"]:
        return Daemon(unit, running=False)
    lines = (f'{name}="{_escaped(value)}"' for name, value in sorted(_settings(spec).items()))
    return Daemon(
        unit,
        restart=(
            drop_in(unit, "[Service]", f"EnvironmentFile={ENVIRONMENT}"),
            File(ENVIRONMENT, text(*lines), mode="0600", secret=True),
            File(f"{PROVISIONING}/dashboards/pigsty.yml", _yaml({"providers": [_PROVIDER]})),
            File(f"{PROVISIONING}/datasources/pigsty.yml", _yaml({"datasources": sources(spec)})),
        ),
    )


def files(pages: Iterable[Dashboard], *, logs: bool) -> list[File]:
    """Return the dashboards' files.

    Args:
        pages: the dashboards.
        logs: whether the portal beside it searches logs.
    """
    pages = tuple(pages)
    titles = {page.uid: page.title for page in pages}
    made = ((page.uid, dashboard(page, titles, logs=logs)) for page in pages)
    return [File(f"{FOLDER}/{uid}.json", _json(body)) for uid, body in made]


def _settings(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return Grafana's settings as variables of its environment."""
    found = {
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": f"{FOLDER}/overview.json",
        "GF_SECURITY_ADMIN_PASSWORD": spec["password"],
        "GF_SECURITY_ADMIN_USER": spec["user"],
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(spec["port"]),
        "GF_SERVER_ROOT_URL": f"{spec['url']}{PATH}/",
        "GF_SERVER_SERVE_FROM_SUB_PATH": "true",
        "GF_USERS_DEFAULT_LANGUAGE": spec["language"],
        "GF_AUTH_PROXY_ENABLED": "true" if spec["auth_proxy"] else "false",
    }
    if spec["database"]:
        found["GF_DATABASE_URL"] = spec["database"]
    if spec["meta"] is not None:
        found[_META_PASSWORD] = spec["meta"]["password"]
    return found


def _escaped(value: str) -> str:
    """Return a value between double quotes as systemd reads it."""
    for letter in '\\"$`':
        value = value.replace(letter, f"\\{letter}")
    return value


def sources(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return Grafana's data sources.

    Args:
        spec: ``prometheus`` (its address), ``interval`` (how often it looks at its targets), and
            ``meta``: ``host``, ``port``, ``database`` and ``user`` of the meta database, None where
            there is none. Its password comes from the environment.
    """
    meta = spec["meta"]
    found: list[dict[str, Any]] = [
        {
            "name": "Prometheus",
            "uid": PROMETHEUS,
            "type": "prometheus",
            "access": "proxy",
            "url": spec["prometheus"],
            "isDefault": True,
            "editable": False,
            "jsonData": {"timeInterval": spec["interval"], "httpMethod": "POST"},
        }
    ]
    if meta is not None:
        found.append(
            {
                "name": "Meta",
                "uid": META,
                "type": "grafana-postgresql-datasource",
                "url": f"{meta['host']}:{meta['port']}",
                "user": meta["user"],
                "editable": False,
                "jsonData": {"database": meta["database"], "sslmode": "require"},
                "secureJsonData": {"password": f"${_META_PASSWORD}"},
            }
        )
    return found


def dashboard(page: Dashboard, titles: Mapping[str, str], *, logs: bool) -> dict[str, Any]:
    """Return a page as Grafana's JSON.

    Args:
        page: the dashboard.
        titles: of all pages by ``uid``.
        logs: whether the portal beside it searches logs.
    """
    ways = [_way(link, titles) for link in page.links]
    return {
        "uid": page.uid,
        "title": page.title,
        "description": page.meaning,
        "tags": ["Pigsty", page.group],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "browser",
        "annotations": {"list": [_annotation(mark) for mark in page.marks]},
        "templating": {"list": [_variable(variable) for variable in page.variables]},
        "links": [*ways, *([_to_logs(page)] if logs and page.logged() else [])],
        "panels": _panels(page, titles),
    }


def _annotation(mark: Mark) -> dict[str, Any]:
    """Return a mark as Grafana has them: it begins where a series does, and is shaded on."""
    return {
        "name": mark.title,
        "datasource": _source(),
        "enable": True,
        "expr": mark.expr,
        "step": _FINEST,
        "titleFormat": mark.title,
        "textFormat": mark.legend,
        "iconColor": "red" if mark.bad else "blue",
    }


def _panels(page: Dashboard, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the panels at their places: from left to right, as many in a line as fit."""
    found: list[dict[str, Any]] = []
    y = 0
    for row in page.rows:
        if row.title:
            place = {"x": 0, "y": y, "w": 24, "h": 1}
            found.append(_numbered(found, {"type": "row", "title": row.title, "gridPos": place}))
            y += 1
        x = high = 0
        for panel in row.panels:
            width, height = panel.width * _WIDE, panel.height + 1
            if x + width > 24:
                x, y, high = 0, y + high, 0
            place = {"x": x, "y": y, "w": width, "h": height}
            found.append(_numbered(found, {**_panel(page, panel, titles), "gridPos": place}))
            x, high = x + width, max(high, height)
        y += high
    return found


def _numbered(before: list[dict[str, Any]], panel: dict[str, Any]) -> dict[str, Any]:
    return {"id": len(before) + 1, **panel}


def _panel(page: Dashboard, panel: Panel, titles: Mapping[str, str]) -> dict[str, Any]:
    if panel.kind == "alerts":
        return _alerts(panel)
    asked = panel.expressions()
    now = panel.kind != "timeseries"
    found: dict[str, Any] = {
        "type": _KINDS[panel.kind],
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _source(),
        "targets": [_target(query, index, panel, now=now) for index, query in enumerate(asked)],
        "fieldConfig": {"defaults": _defaults(page, panel, titles), "overrides": []},
        "options": _options(panel),
    }
    if panel.kind == "table":
        found["fieldConfig"]["overrides"] = list(_columns(page, panel, titles))
        found["transformations"] = _merged(panel)
    return found


def _alerts(panel: Panel) -> dict[str, Any]:
    """Return alerts as a table: Grafana's own list knows only rules of its own making."""
    (query,) = panel.queries
    target = {"refId": "A", "expr": query.expr, "instant": True, "format": "table"}
    drop = dict.fromkeys(("Time", "Value", "__name__", "alertstate", "instance", "job"), True)
    return {
        "type": "table",
        "title": panel.title,
        "description": panel.empty,
        "datasource": _source(),
        "targets": [{"datasource": _source(), **target}],
        "fieldConfig": {"defaults": {"noValue": panel.empty}, "overrides": []},
        "options": {"showHeader": True},
        "transformations": [{"id": "organize", "options": {"excludeByName": drop}}],
    }


def _target(query: Query, index: int, panel: Panel, *, now: bool) -> dict[str, Any]:
    expr = query.expr
    unit = panel.columns[index].unit if panel.columns else panel.unit
    if unit == "time":
        # Grafana counts moments in milliseconds.
        expr = f"1000 * ({expr})"
    if panel.kind == "bars" and panel.top:
        expr = f"sort_desc(topk({panel.top}, {expr}))"
    target: dict[str, Any] = {
        "refId": chr(ord("A") + index),
        "datasource": _source(),
        "expr": expr,
        "legendFormat": query.legend or "__auto",
        "instant": now,
        "range": not now,
    }
    if panel.kind == "table":
        target["format"] = "table"
    return target


def _defaults(page: Dashboard, panel: Panel, titles: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = _unit(panel.unit)
    found["noValue"] = panel.empty or "no such series"
    if panel.limits is not None:
        found["thresholds"] = _thresholds(panel.limits)
    if panel.kind in ("stat", "bars", "timeseries"):
        found["color"] = {"mode": "thresholds" if panel.kind != "timeseries" else "palette-classic"}
    if panel.kind == "timeseries":
        custom: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 25 if panel.stack else 5}
        if panel.stack:
            custom["stacking"] = {"mode": "normal", "group": "A"}
        if panel.limits is not None:
            custom["thresholdsStyle"] = {"mode": "dashed"}
        found["custom"] = custom
    if panel.kind == "bars" and panel.unit == "ratio":
        found |= {"min": 0, "max": 1}
    if panel.link is not None:
        found["links"] = [_drill(panel.link, page, titles)]
    return found


def _options(panel: Panel) -> dict[str, Any]:
    calculated = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "stat":
        name = "name" if panel.queries[0].legend else "value"
        return {"reduceOptions": calculated, "colorMode": "value", "textMode": name}
    if panel.kind == "bars":
        return {"reduceOptions": calculated, "orientation": "horizontal", "displayMode": "basic"}
    if panel.kind == "timeseries":
        legend = {"displayMode": "list", "placement": "bottom", "calcs": ["lastNotNull"]}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {"showHeader": True, "cellHeight": "sm"}


def _columns(page: Dashboard, panel: Panel, titles: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    """Yield what is particular to each column of a table."""
    for key in panel.keys:
        if key.link is not None:
            yield _override(key.title, links=[_drill(key.link, page, titles, panel)])
    for column in panel.columns:
        special: dict[str, Any] = {} if column.label else _unit(column.unit)
        if column.limits is not None:
            special["thresholds"] = _thresholds(column.limits)
            special["custom.cellOptions"] = {"type": "color-text"}
        if column.link is not None:
            special["links"] = [_drill(column.link, page, titles, panel)]
        if special:
            yield _override(column.title, **special)


def _override(name: str, **properties: Any) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def _merged(panel: Panel) -> list[dict[str, Any]]:
    """Return how the answers of a table's columns become one table, with heads for people."""
    names = {key.label: key.title for key in panel.keys}
    order = {key.label: index for index, key in enumerate(panel.keys)}
    drop = {"Time": True}
    for index, column in enumerate(panel.columns):
        value = f"Value #{chr(ord('A') + index)}" if len(panel.columns) > 1 else "Value"
        shown = column.label or value
        if column.label:
            drop[value] = True
        names[shown] = column.title
        order[shown] = len(panel.keys) + index
    organized = {"excludeByName": drop, "renameByName": names, "indexByName": order}
    found: list[dict[str, Any]] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": organized},
    ]
    if panel.top:
        by = {"sort": [{"field": panel.columns[0].title, "desc": True}]}
        found += [{"id": "sortBy", "options": by}]
        found += [{"id": "limit", "options": {"limitField": panel.top}}]
    return found


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.metric}, {variable.label})"
    found: dict[str, Any] = {
        "type": "query",
        "name": variable.name,
        "label": variable.title,
        "datasource": _source(),
        "query": {"query": query, "refId": variable.name},
        "definition": query,
        "refresh": 2,
        "sort": 3,
        "includeAll": variable.all,
        "multi": False,
    }
    if variable.all:
        found |= {"allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return found


def _unit(unit: str) -> dict[str, Any]:
    found: dict[str, Any] = {"unit": _UNITS[unit]}
    if unit in _WORDS:
        words = {str(index): {"text": word} for index, word in enumerate(_WORDS[unit])}
        found["mappings"] = [{"type": "value", "options": words}]
    return found


def _thresholds(limits: Limits) -> dict[str, Any]:
    warn, bad = limits.warn, limits.bad
    if bad < warn:
        # A step's colour begins with its value, and the bad value itself is bad.
        above = bad + (warn - bad) * _ABOVE
        steps = [(None, "red"), (above, "orange"), (warn, "green")]
    elif bad == warn:
        steps = [(None, "green"), (bad, "red")]
    else:
        steps = [(None, "green"), (warn, "orange"), (bad, "red")]
    return {"mode": "absolute", "steps": [{"value": at, "color": color} for at, color in steps]}


def _way(link: Link, titles: Mapping[str, str]) -> dict[str, Any]:
    """Return a link of a page to one beside it."""
    carried = "&".join(f"var-{name}=${{{source}}}" for name, source in sorted(link.carry.items()))
    url = f"{PATH}/d/{link.to}" + (f"?{carried}" if carried else "")
    title = link.title or titles[link.to]
    return {"type": "link", "title": title, "url": url, "keepTime": True, "targetBlank": False}


def _to_logs(page: Dashboard) -> dict[str, Any]:
    """Return the link to what the chosen cluster or instance wrote, at the portal."""
    query = "&".join(f"{name}=${{{name}}}" for name in page.logged())
    url = f"/portal/logs.html?{query}"
    return {"type": "link", "title": "Logs", "url": url, "keepTime": False, "targetBlank": False}


def _drill(
    link: Link, page: Dashboard, titles: Mapping[str, str], panel: Panel | None = None
) -> dict[str, Any]:
    """Return a link of a value: of a row's cells in a table (``panel``), else of a series' labels.

    What the page itself has chosen is the same in all its rows; the rest is the row's own.
    """
    chosen = {variable.name for variable in page.variables if not variable.all}
    columns = {key.label: key.title for key in panel.keys} if panel is not None else {}
    parts = []
    for name, source in sorted(link.carry.items()):
        if source in columns:
            parts.append(f'var-{name}=${{__data.fields["{columns[source]}"]}}')
        elif source in chosen:
            parts.append(f"var-{name}=${{{source}}}")
        else:
            parts.append(f"var-{name}=${{__field.labels.{source}}}")
    query = "&".join([*parts, "${__url_time_range}"])
    return {"title": link.title or titles[link.to], "url": f"{PATH}/d/{link.to}?{query}"}


def _source() -> dict[str, str]:
    return {"type": "prometheus", "uid": PROMETHEUS}


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _yaml(value: Mapping[str, Any]) -> str:
    """Return a provisioning file; JSON is YAML that nothing can be misread in."""
    return f"{BANNER}\n{json.dumps({'apiVersion': 1, **value}, indent=2)}\n"
