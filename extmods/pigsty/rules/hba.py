"""HBA rules: known aliases, methods and roles; combinations that the servers accept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pigsty.errors import PigstyError
from pigsty.findings import Finding
from pigsty.render.hba import (
    ADDR_ALIASES,
    AUTH_ALIASES,
    compile_rules,
)
from pigsty.render.hba import (
    Context as HbaContext,
)
from pigsty.rules.context import Context, Place
from pigsty.rules.scalars import nearest, quote
from pigsty.rules.values import check as check_value

#: Parameter, and whether its rules are PgBouncer's.
PARAMETERS = {
    "pg_default_hba_rules": False,
    "pg_hba_rules": False,
    "pgb_default_hba_rules": True,
    "pgb_hba_rules": True,
}
#: Stand-ins: here only the form of a rule is checked, not who is behind an alias.
EXAMPLE = HbaContext(
    users={"dbsu": "dbsu", "repl": "repl", "monitor": "monitor", "admin": "admin"},
    admin="192.0.2.1",
    infra=("192.0.2.1",),
    cluster=("192.0.2.1",),
    intranet=("192.0.2.0/24",),
)


def rules(ctx: Context) -> Iterator[Finding]:
    """Check every HBA rule of the file once."""
    for use in ctx.uses:
        if use.name not in PARAMETERS or not isinstance(use.variable.value, (list, tuple)):
            continue
        for index, rule in enumerate(use.variable.value):
            if isinstance(rule, Mapping) and "{{" not in repr(rule):
                place = use.place.inside(index)
                yield from _rule(ctx, place, rule, PARAMETERS[use.name])


def intranet(ctx: Context) -> Iterator[Finding]:
    """Report clusters whose rules speak of the intranet, which has no network."""
    for cluster, nodes in ctx.clusters("pg_cluster").items():
        if ctx.value(nodes[0], "node_firewall_intranet"):
            continue
        for name in PARAMETERS:
            for rule, _ in ctx.objects(nodes[0], name):
                if rule.get("addr") in ("intra", "intranet") and not rule.get("rules"):
                    place = ctx.place(nodes[0], "node_firewall_intranet")
                    text = f"no network, but HBA rules of cluster {cluster} are for the intranet"
                    yield ctx.error(place, text, "name the networks, for example 10.0.0.0/8")
                    break


def _rule(
    ctx: Context, place: Place, rule: Mapping[str, Any], pgbouncer: bool
) -> Iterator[Finding]:
    """Check one rule: its words first, for their hints, then whether it makes lines."""
    faults = [] if rule.get("rules") else [*_auth(ctx, place, rule), *_address(ctx, place, rule)]
    yield from faults
    sound = all(p.severity == "warning" for p in check_value("hba_rule", rule, ctx.catalogue))
    if sound and not faults:  # otherwise it would be said twice
        try:
            compile_rules([rule], EXAMPLE, pgbouncer=pgbouncer)
        except PigstyError as error:
            yield ctx.error(place, str(error), "see the HBA section of docs/validation.md")


def _auth(ctx: Context, place: Place, rule: Mapping[str, Any]) -> Iterator[Finding]:
    """Report an unknown method."""
    value = rule.get("auth")
    if value not in (None, "") and str(value) not in AUTH_ALIASES:
        near = nearest(str(value), list(AUTH_ALIASES))
        hint = f"did you mean {near}?" if near else f"known are {', '.join(AUTH_ALIASES)}"
        yield ctx.error(place.inside("auth"), f"unknown HBA auth {quote(value)}", hint)


def _address(ctx: Context, place: Place, rule: Mapping[str, Any]) -> Iterator[Finding]:
    """Report a rule without an address, or with one that is neither alias nor network."""
    value = rule.get("addr")
    if value in (None, ""):
        hint = f"add `addr:` ({', '.join(ADDR_ALIASES)} or a CIDR), or raw `rules:`"
        yield ctx.error(place, "the HBA rule has neither addr nor rules", hint)
    elif str(value) not in ADDR_ALIASES and next(check_value("cidr", value, ctx.catalogue), None):
        near = nearest(str(value), list(ADDR_ALIASES))
        hint = f"did you mean {near}?" if near else f"a CIDR, or {', '.join(ADDR_ALIASES)}"
        yield ctx.error(place.inside("addr"), f"unknown HBA addr {quote(value)}", hint)
