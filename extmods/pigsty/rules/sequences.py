"""Numbers that tell members apart: there, a whole number, and each only once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pigsty.findings import Finding
from pigsty.rules.context import Context
from pigsty.rules.scalars import is_number
from pigsty.topology import Node


def check(
    ctx: Context, what: str, name: str, nodes: Iterable[Node], home: str
) -> Iterator[Finding]:
    """Check the number that each of some hosts must have.

    Args:
        ctx: the inventory.
        what: what they are together, for messages ("cluster pg-test", "etcd").
        name: the parameter, for example ``pg_seq``.
        nodes: the hosts.
        home: the group, or the variable, that makes them belong together: where a missing number
            is reported.
    """
    nodes = list(nodes)
    numbers = [n for n in (ctx.number(node, name) for node in nodes) if n is not None]
    free = max([0, *numbers]) + 1
    taken: dict[int, Node] = {}
    missing: list[Node] = []
    for node in nodes:
        value = ctx.value(node, name)
        place = ctx.place(node, name)
        if value is None:
            missing.append(node)
        elif not is_number(value):
            continue  # the wrong type is reported where the variable stands
        elif value < 0:
            yield ctx.error(place, f"{name} of {node.ip} is {value}", "use 0 or more")
        elif value in taken:
            other = taken[value]
            where = f"{other.ip} already (line {ctx.place(other, name).line})"
            text = f"duplicate {name}: {value} of {node.ip} in {what} belongs to {where}"
            yield ctx.error(place, text, f"use {free}")
        else:
            taken[value] = node
    for node in missing:
        text = f"{node.ip} in {what} has no {name}"
        hint = f"add `{name}: {free}` to the host"
        yield ctx.error(ctx.member(node, home), text, hint)
