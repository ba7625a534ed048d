"""Every variable on its own: known name, right type, a template that renders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pigsty.errors import InventoryError
from pigsty.findings import Finding
from pigsty.rules import values
from pigsty.rules.context import Context, Use

#: Modules of Pigsty that the catalogue doesn't cover, by the beginning of their parameters' names.
OTHER_MODULES = (
    "app", "apps", "claude_", "code_", "ferret_", "greenplum_", "juice_", "jupyter_", "kafka_",
    "mongo_", "mssql_", "mysql_", "nodejs_", "npm_", "openbao_", "polar_", "vibe_",
)  # fmt: skip
WORD = re.compile(r"[A-Za-z_]\w*")
#: Parameters whose value is a free form that no rule here describes.
FREE = frozenset(("pg_pitr", "pg_rto_plan"))
#: Parameters that may name what another parameter defines, besides the catalogue's choices.
OPEN = frozenset(("pg_rto",))


def names(ctx: Context) -> Iterator[Finding]:
    """Report names that nobody knows, and names that have no meaning here."""
    used = _used_in_templates(ctx)
    for use in ctx.uses:
        parameter = ctx.parameter(use.name)
        if parameter is not None:
            if parameter.unsupported:
                text = f"{use.written} has no effect here: {parameter.unsupported}"
                yield ctx.warning(use.place, text, "it may stay, or be removed")
            continue
        if use.name.startswith("ansible_") or use.name in used:
            continue
        if use.name.startswith(OTHER_MODULES):
            text = f"{use.name} belongs to a module that is not yet built here"
            yield ctx.warning(use.place, text, "it has no effect and may stay")
            continue
        near = ctx.catalogue.nearest(use.name)
        hint = f"did you mean {near}?" if near else "see docs/validation.md for the known names"
        yield ctx.warning(use.place, f"unknown parameter {use.name[:80]}", hint)


def types(ctx: Context) -> Iterator[Finding]:
    """Report values of a wrong type and templates that don't render, once per variable."""
    for use in ctx.uses:
        parameter = ctx.parameter(use.name)
        for value in _values(ctx, use):
            if isinstance(value, Finding):
                yield value
            elif parameter is None or use.name in FREE or parameter.unsupported:
                continue
            elif value is None:
                if parameter.default is not None:
                    text = f"{use.written} has no value"
                    hint = "remove the line to get the default, or give it a value"
                    yield ctx.error(use.place, text, hint)
            else:
                problems = values.check(
                    parameter.type,
                    value,
                    ctx.catalogue,
                    choices=() if use.name in OPEN else parameter.choices,
                    secret=parameter.secret,
                )
                for problem in problems:
                    place = use.place.inside(*problem.path)
                    text = problem.message if problem.path else f"{use.written}: {problem.message}"
                    yield ctx.finding(problem.severity, place, text, problem.hint)


def ranges(ctx: Context) -> Iterator[Finding]:
    """Report numbers outside the range in which they mean something."""
    for use in ctx.uses:
        low, high = RANGES.get(use.name, (None, None))
        value = use.variable.value
        if low is None or high is None or isinstance(value, bool):
            continue
        if isinstance(value, (int, float)) and not low <= value <= high:
            text = f"{use.written} is {value}, outside {low} to {high}"
            yield ctx.error(use.place, text, f"choose a value from {low} to {high}")


#: Lowest and highest value of numbers; both are allowed.
RANGES: Mapping[str, tuple[float, float]] = {
    "etcd_election_timeout": (10, 50000),
    "etcd_heartbeat_interval": (1, 10000),
    "node_admin_uid": (0, 65533),
    "node_hugepage_count": (0, 2**31),
    "node_hugepage_ratio": (0, 0.9),
    "node_overcommit_ratio": (0, 1000),
    "pg_dbsu_uid": (0, 65533),
    "pg_group": (0, 2**31 - 1),
    "pg_rpo": (0, 2**63 - 1),
    "pg_sync_nodes": (1, 100),
    "pg_shared_buffer_ratio": (0.01, 0.8),
    "pg_version": (10, 19),
    "pg_weight": (0, 256),
    "pigsty_drift_interval": (0, 31_536_000),
    "pigsty_git_interval": (0, 31_536_000),
    "redis_cluster_replicas": (0, 10),
}


def _values(ctx: Context, use: Use) -> Iterator[Any]:
    """Yield the values that a variable has, each once; a template that fails is a finding.

    Only what depends on the host is rendered per host: a thousand hosts that share a plain value
    cost one look at it.
    """
    mark = _template(use.variable.value)
    if not mark or not use.hosts:
        yield use.variable.value
        return
    seen: set[str] = set()
    for ip in use.hosts if mark == "{" else use.hosts[:1]:
        node = ctx.topology.nodes.get(ip)
        if node is None:
            continue
        try:
            value = node.vars[use.name]
        except KeyError:
            continue
        except InventoryError as error:
            key, result = f"error {error.message}", _broken(ctx, use, error)
        else:
            key, result = repr(value), value
        if key not in seen:
            seen.add(key)
            yield result


def _broken(ctx: Context, use: Use, error: InventoryError) -> Finding:
    """Return the finding for a template that doesn't render."""
    hint = error.hint or "correct the template, or define the name in all.vars"
    return ctx.error(use.place, f"{use.written}: {error.message}", hint)


def _template(value: Any) -> str:
    """Return "{" if a value holds a Jinja template, "$" if only ``${…}`` tokens, "" if neither."""
    if isinstance(value, str):
        return "{" if "{{" in value or "{%" in value else "$" if "${" in value else ""
    parts: list[Any] = []
    if isinstance(value, Mapping):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    found = {_template(part) for part in parts}
    return "{" if "{" in found else "$" if "$" in found else ""


def _used_in_templates(ctx: Context) -> set[str]:
    """Return every word inside the inventory's templates: names that people define for them."""
    found: set[str] = set()
    for use in ctx.uses:
        if _template(use.variable.value):
            for text in _texts(use.variable.value):
                found.update(WORD.findall(text))
    return found


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value that hold a template."""
    if isinstance(value, str):
        if "{{" in value or "{%" in value or "${" in value:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)
