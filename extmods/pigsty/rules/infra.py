"""The INFRA module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pigsty import alerting
from pigsty.findings import Finding
from pigsty.rules import sequences
from pigsty.rules.context import Context


def group(ctx: Context) -> Iterator[Finding]:
    """Report a deployment without infra nodes, and infra nodes without a number of their own."""
    members = [ctx.topology.nodes[ip] for ip in ctx.topology.groups.get("infra", ())]
    if not members and ctx.inventory.hosts:
        text = "there is no group infra, so there is no local package repository and no monitoring"
        yield ctx.warning(ctx.group("all"), text, "add it, with the admin node in it")
    yield from sequences.check(ctx, "infra", "infra_seq", members, "infra")


def portal(ctx: Context) -> Iterator[Finding]:
    """Report entries of the portal that would answer to one name, or that lead nowhere."""
    members = [ctx.topology.nodes[ip] for ip in ctx.topology.groups.get("infra", ())]
    said: set[str] = set()
    for node in members:
        entries = ctx.value(node, "infra_portal")
        if not isinstance(entries, Mapping) or not ctx.declared(node, "infra_portal"):
            continue
        place = ctx.place(node, "infra_portal")
        owners: dict[str, str] = {}
        for name, entry in entries.items():
            for text, hint in _portal_entry(str(name), entry, owners):
                if text not in said:
                    said.add(text)
                    yield ctx.error(place.inside(str(name)), text, hint)


def restarts(ctx: Context) -> Iterator[Finding]:
    """Report programs that no alert may start again: they hold data, or decide who leads."""
    said: set[str] = set()
    for node in ctx.topology.nodes.values():
        names = ctx.value(node, alerting.PARAMETER)
        for name in names if isinstance(names, list) else ():
            if str(name) not in {*alerting.PROGRAMS, *said}:
                said.add(str(name))
                place = ctx.place(node, alerting.PARAMETER)
                text = f"{alerting.PARAMETER}: {name} is not started again by an alert"
                yield ctx.error(place, text, f"choose from {', '.join(sorted(alerting.PROGRAMS))}")


def _portal_entry(name: str, entry: Any, owners: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with an entry, and what would be right."""
    if not isinstance(entry, Mapping):
        return
    if entry.get("endpoint") and entry.get("path"):
        yield f"portal entry {name} has both an endpoint and a path", "keep one of them"
    if bool(entry.get("cert")) != bool(entry.get("key")):
        yield f"portal entry {name} has a certificate or a key alone", "give both, or none"
    more = entry.get("domains") or ()
    given = [entry.get("domain"), *(more if isinstance(more, list) else [more])]
    for domain in dict.fromkeys(str(domain) for domain in given if domain):
        other = owners.setdefault(domain, name)
        if other != name:
            yield f"portal entries {other} and {name} have one name: {domain}", "rename one"
