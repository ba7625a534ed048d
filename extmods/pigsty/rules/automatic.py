"""What the deployment does by itself: where it is declared, what may heal, its journal."""

from __future__ import annotations

from collections.abc import Iterator

from pigsty import targets
from pigsty.findings import Finding
from pigsty.rules.context import Context, Place
from pigsty.rules.scalars import nearest, quote

#: Settings of the deployment as a whole (:class:`pigsty.automatic.Automatic`).
SETTINGS = (
    "pigsty_auto_apply",
    "pigsty_drift_interval",
    "pigsty_git_interval",
    "pigsty_journal_database",
    "pigsty_self_heal",
)


def places(ctx: Context) -> Iterator[Finding]:
    """Warn of settings of the deployment that stand where nobody reads them."""
    for use in ctx.uses:
        if use.name in SETTINGS and not use.variable.path.startswith("all.vars."):
            text = f"{use.written} is about the whole deployment and is read in all.vars only"
            yield ctx.warning(use.place, text, "move it to all.vars")


def modules(ctx: Context) -> Iterator[Finding]:
    """Report names of modules that aren't any, among those that may heal."""
    for use in ctx.uses:
        value = use.variable.value
        if use.name != "pigsty_self_heal" or not isinstance(value, list):
            continue
        for at, name in enumerate(value):
            if isinstance(name, str) and name.lower() not in targets.STATES:
                text = targets.nearest(name, targets.STATES, "module")
                yield ctx.error(use.place.inside(at), text, "list modules such as `node`")


def journal(ctx: Context) -> Iterator[Finding]:
    """Check that the journal's database is one of a cluster that takes writes."""
    variable = ctx.inventory.groups["all"].variables.get("pigsty_journal_database")
    if variable is None or not isinstance(variable.value, str) or not variable.value:
        return
    place = Place.of(variable)
    name, slash, database = variable.value.partition("/")
    clusters = ctx.clusters("pg_cluster")
    if not (name and slash and database):
        text = f"{quote(variable.value)} names no database"
        yield ctx.error(place, text, "cluster and database, for example pg-meta/meta")
        return
    if name not in clusters:
        near = nearest(name, clusters)
        hint = f"did you mean {near}?" if near else "name a cluster of this inventory"
        yield ctx.error(place, f"there is no PostgreSQL cluster {quote(name)}", hint)
        return
    nodes = clusters[name]
    entries = ctx.objects(nodes[0], "pg_databases")
    absent = {entry.get("name") for entry, _place in entries if entry.get("state") == "absent"}
    databases = sorted(({"postgres"} | ctx.names(nodes[0], "pg_databases")) - absent)
    if database not in databases:
        near = nearest(database, databases)
        hint = f"did you mean {near}?" if near else f"add it to pg_databases of {name}"
        yield ctx.error(place, f"{name} has no database {quote(database)}", hint)
    if any(ctx.text(n, "pg_role") == "primary" and ctx.text(n, "pg_upstream") for n in nodes):
        text = f"{name} is a copy of another cluster and takes no writes"
        yield ctx.error(place, text, "name the cluster that it follows")
