"""Services: selectors that compile, names and targets that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from pigsty.findings import Finding
from pigsty.rules.context import Context, Place
from pigsty.rules.scalars import address, is_number, quote, show
from pigsty.topology import Node

#: A member, to see whether an expression selects members at all.
EXAMPLE = [{"inventory_hostname": "192.0.2.1", "pg_role": "primary", "pg_seq": 1}]
DESTINATIONS = ("default", "postgres", "pgbouncer")


def each(ctx: Context) -> Iterator[Finding]:
    """Check every service definition of the file once."""
    for use in ctx.uses:
        value = use.variable.value
        if use.name not in ("pg_services", "pg_default_services") or not isinstance(value, list):
            continue
        for index, service in enumerate(value):
            if isinstance(service, Mapping):
                yield from _service(ctx, use.place.inside(index), service)


def _service(ctx: Context, place: Place, service: Mapping[str, Any]) -> Iterator[Finding]:
    """Check one service."""
    if not service.get("selector"):
        hint = 'add `selector: "[]"` for all members'
        yield ctx.error(place, f"the service {quote(service.get('name'))} has no selector", hint)
    for key in ("selector", "backup"):
        expression = service.get(key)
        if not isinstance(expression, str) or not expression or "{{" in expression:
            continue
        hint = "for example [? pg_role == `replica` ]"
        try:
            selected = jmespath.search(expression, EXAMPLE)
        except JMESPathError as error:
            text = f"{key} is no JMESPath expression: {str(error).splitlines()[0]}"
            yield ctx.error(place.inside(key), text, hint)
        else:
            if not isinstance(selected, list):
                text = f"{key} {quote(expression)} selects no members"
                yield ctx.error(place.inside(key), text, hint)
    target = service.get("dest")
    port = is_number(target) or (isinstance(target, str) and target.isdecimal())
    if target not in (None, "", *DESTINATIONS) and not (port and 0 < int(target or 0) < 65536):
        text = f"unknown dest {quote(target)}"
        yield ctx.error(place.inside("dest"), text, f"use {', '.join(DESTINATIONS)} or a port")
    check = service.get("check")
    if isinstance(check, str) and check and not check.startswith("/"):
        yield ctx.error(place.inside("check"), f"check is {show(check)}", f"write /{check}")
    listen = service.get("ip")
    spoken = isinstance(listen, str) and listen not in ("", "*") and "$" not in listen
    if spoken and address(listen) is None:
        text = f"ip is {show(listen)}, no address"
        yield ctx.error(place.inside("ip"), text, "an address, or * for all")


def names(ctx: Context) -> Iterator[Finding]:
    """Report two services of one name in a cluster, or among the services of a node."""
    for cluster, nodes in ctx.clusters("pg_cluster").items():
        node = nodes[0]
        yield from _names(ctx, f"cluster {cluster}", node, "pg_default_services", "pg_services")
    for node in ctx.nodes:
        if ctx.declared(node, "haproxy_services"):
            yield from _names(ctx, node.ip, node, "haproxy_services")


def _names(ctx: Context, where: str, node: Node, *parameters: str) -> Iterator[Finding]:
    taken: dict[str, Place] = {}
    for parameter in parameters:
        for service, place in ctx.objects(node, parameter):
            name = service.get("name")
            if not isinstance(name, str) or not name:
                continue
            first = taken.setdefault(name, place)
            if first is not place:
                text = f"{where} has two services of the name {name} (the other: {first.path})"
                yield ctx.error(place, text, "give each service a name of its own")


def provider(ctx: Context) -> Iterator[Finding]:
    """Report a pg_service_provider that is no group, or two clusters that share ports at one."""
    taken: dict[tuple[str, int], str] = {}
    for cluster, nodes in ctx.clusters("pg_cluster").items():
        node = nodes[0]
        group = ctx.text(node, "pg_service_provider")
        if not group:
            continue
        if not ctx.topology.groups.get(group):
            text = f"pg_service_provider {quote(group)} is no group with hosts"
            yield ctx.error(ctx.place(node, "pg_service_provider"), text, "name a group of proxies")
            continue
        for parameter in ("pg_default_services", "pg_services"):
            for service, place in ctx.objects(node, parameter):
                port = service.get("port")
                if not is_number(port):
                    continue
                owner = taken.setdefault((group, port), cluster)
                if owner != cluster:
                    text = f"port {port} at the proxies {group} is used by {owner} and {cluster}"
                    hint = "clusters that share proxies need ports of their own"
                    yield ctx.error(place, text, hint)
