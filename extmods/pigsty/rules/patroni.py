"""Patroni's clock: the presets of pg_rto and the rule that its times must obey."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pigsty.findings import Finding
from pigsty.rules.context import Context, Place
from pigsty.rules.scalars import INTERVAL, is_number, nearest, quote, show

#: The entries of a plan, in order: times of Patroni in seconds, then those of HAProxy's checks.
FIELDS = (
    "ttl", "loop_wait", "retry_timeout", "primary_start_timeout", "safety_margin",
    "inter", "fastinter", "downinter", "rise", "fall",
)  # fmt: skip
#: The first five are whole seconds, the last two are counts.
WHOLE = (0, 1, 2, 3, 4, 8, 9)
#: Patroni raises smaller values to these, so a smaller one is a misunderstanding.
MINIMA = {"ttl": 20, "loop_wait": 1, "retry_timeout": 3}


def plans(ctx: Context) -> Iterator[Finding]:
    """Check every plan of pg_rto_plan: complete, numbers, and Patroni's rule."""
    for use in ctx.uses:
        if use.name != "pg_rto_plan":
            continue
        if not isinstance(use.variable.value, Mapping):
            yield ctx.error(
                use.place, "pg_rto_plan: expected a mapping", f"name: [{', '.join(FIELDS)}]"
            )
            continue
        for name, plan in use.variable.value.items():
            yield from _plan(ctx, use.place.inside(name), str(name), plan)


def _plan(ctx: Context, place: Place, name: str, plan: Any) -> Iterator[Finding]:
    """Check one plan."""
    if not isinstance(plan, (list, tuple)) or len(plan) != len(FIELDS):
        text = f"the plan {name} needs {len(FIELDS)} entries, got {_size(plan)}"
        yield ctx.error(place, text, f"[{', '.join(FIELDS)}]")
        return
    sound = True
    for index, (field, value) in enumerate(zip(FIELDS, plan, strict=True)):
        if index in WHOLE:
            good = is_number(value) and value >= (1 if index > 4 else 0)
        else:
            good = isinstance(value, (int, float)) or bool(
                isinstance(value, str) and INTERVAL.fullmatch(value)
            )
        if not good:
            hint = "a whole number" if index in WHOLE else "a time span such as 500ms or 2s"
            yield ctx.error(place.inside(index), f"{field} is {show(value)}", f"use {hint}")
            sound = False
        elif value_below := _below(field, value):
            text = f"{field} is {value}, below Patroni's minimum {value_below}"
            yield ctx.error(place.inside(index), text, f"use {value_below} or more")
    if sound:
        ttl, loop_wait, retry_timeout = plan[:3]
        need = loop_wait + 2 * retry_timeout
        if need > ttl:
            text = (
                f"loop_wait {loop_wait} + 2 * retry_timeout {retry_timeout} = {need} exceeds "
                f"the ttl {ttl} of plan {name}: the leader would lose its lock while it retries"
            )
            yield ctx.error(place, text, f"raise ttl to {need}, or shorten the others")


def _below(field: str, value: Any) -> int:
    """Return the minimum that a value falls below, or 0."""
    minimum = MINIMA.get(field, 0)
    return minimum if is_number(value) and value < minimum else 0


def _size(plan: Any) -> str:
    """Return how many entries a plan has, for a message."""
    return str(len(plan)) if isinstance(plan, (list, tuple)) else show(plan)


def preset(ctx: Context) -> Iterator[Finding]:
    """Report a pg_rto that names no plan."""
    for nodes in ctx.clusters("pg_cluster").values():
        for node in nodes:
            value, plan = ctx.value(node, "pg_rto"), ctx.value(node, "pg_rto_plan")
            if isinstance(value, str) and isinstance(plan, Mapping) and value not in plan:
                text = f"pg_rto {quote(value)} is no plan of pg_rto_plan"
                near = nearest(value, [str(name) for name in plan])
                hint = f"did you mean {near}?" if near else f"known are {', '.join(map(str, plan))}"
                yield ctx.error(ctx.place(node, "pg_rto"), text, hint)
