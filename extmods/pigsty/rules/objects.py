"""Users and databases: names that PostgreSQL takes, and references to what exists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pigsty.errors import PigstyError
from pigsty.findings import Finding
from pigsty.rules.context import Context, Place
from pigsty.rules.extensions import EXTENSIONS, PREDEFINED_ROLES
from pigsty.rules.scalars import nearest, quote
from pigsty.sql.desired import privilege
from pigsty.topology import Node

#: What Pigsty 4.5 asserts about user names.
USER = re.compile(r"[a-z_][a-z0-9_@.-]{0,62}", re.ASCII)
DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_@.$-]{0,62}", re.ASCII)
#: Words that PostgreSQL reserves where a role is named.
RESERVED_ROLES = frozenset(("public", "none", "current_user", "current_role", "session_user"))
RESERVED_DATABASES = frozenset(
    ("template0", "replication", "all", "pgbouncer", "sameuser", "samerole")
)
#: Databases that every cluster has.
TEMPLATES = frozenset(("template0", "template1", "postgres"))
ROLE_LISTS = ("pg_default_roles", "pg_users")
#: Schemas that every database has.
SCHEMAS = frozenset(("public", "pg_catalog"))


def users(ctx: Context) -> Iterator[Finding]:
    """Check the roles and users of every cluster."""
    for cluster, nodes in ctx.clusters("pg_cluster").items():
        node = nodes[0]
        entries = [(role, place) for name in ROLE_LISTS for role, place in ctx.objects(node, name)]
        roles = Roles(ctx, node, entries)
        yield from _names(ctx, cluster, "user", USER, RESERVED_ROLES, ctx.objects(node, "pg_users"))
        for entry, place in entries:
            yield from _memberships(ctx, cluster, roles, entry, place)
        yield from _cycle(ctx, cluster, roles)


class Roles:
    """The roles of one cluster: what they are called and whose members they are."""

    def __init__(
        self, ctx: Context, node: Node, entries: list[tuple[Mapping[str, Any], Place]]
    ) -> None:
        self.places: dict[str, Place] = {}
        self.memberships: dict[str, list[str]] = {}
        self.absent: set[str] = set()
        for entry, place in entries:
            name = entry.get("name")
            if not isinstance(name, str):
                continue
            self.places[name] = place
            self.memberships.setdefault(name, []).extend(role for role, _ in _granted(entry))
            if entry.get("state") == "absent":
                self.absent.add(name)
        self.system = {
            name
            for name in (
                ctx.text(node, "pg_dbsu"),
                ctx.text(node, "pg_replication_username"),
                ctx.text(node, "pg_admin_username"),
                ctx.text(node, "pg_monitor_username"),
            )
            if name
        }

    def fault(self, name: str) -> tuple[str, str] | None:
        """Return what is wrong with a reference to a role, or None: (message, hint)."""
        if name in self.absent:
            return (
                f"the role {quote(name)} is marked absent",
                "remove the reference, or keep the role",
            )
        if name in self.places or name in self.system or name in PREDEFINED_ROLES:
            return None
        near = nearest(name, [*self.places, *self.system, *PREDEFINED_ROLES])
        hint = f"did you mean {near}?" if near else "add it to pg_users or pg_default_roles"
        return f"the role {quote(name)} does not exist", hint


def _granted(entry: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the roles that an entry is to be a member of, with their index."""
    roles = entry.get("roles")
    for index, role in enumerate(roles if isinstance(roles, (list, tuple)) else ()):
        name = role.get("name") if isinstance(role, Mapping) else role
        state = role.get("state") if isinstance(role, Mapping) else None
        if isinstance(name, str) and name and state not in ("absent", "revoke"):
            yield name, index


def _names(
    ctx: Context,
    cluster: str,
    what: str,
    pattern: re.Pattern[str],
    reserved: frozenset[str],
    entries: list[tuple[Mapping[str, Any], Place]],
) -> Iterator[Finding]:
    """Report names that PostgreSQL refuses, and names that stand twice."""
    taken: dict[str, Place] = {}
    for entry, place in entries:
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            continue
        where = place.inside("name")
        if not pattern.fullmatch(name):
            hint = "letters, digits, _ and -, at most 63, beginning with a letter or _"
            yield ctx.error(where, f"bad {what} name {quote(name)}", hint)
        elif name in reserved or name.startswith("pg_"):
            yield ctx.error(where, f"the {what} name {name} is reserved", "choose another name")
        first = taken.setdefault(name, place)
        if first is not place:
            text = f"cluster {cluster} has two {what}s of the name {name} (line {first.line} too)"
            yield ctx.error(where, text, "keep one of them")


def _memberships(
    ctx: Context, cluster: str, roles: Roles, entry: Mapping[str, Any], place: Place
) -> Iterator[Finding]:
    """Report memberships in roles that don't exist, and in the role itself."""
    if entry.get("state") == "absent":
        return
    for name, index in _granted(entry):
        where = place.inside("roles", index)
        if name == entry.get("name"):
            yield ctx.error(where, f"the role {name} would be a member of itself", "remove it")
            continue
        fault = roles.fault(name)
        if fault:
            yield ctx.error(where, f"{fault[0]} in cluster {cluster}", fault[1])


def _cycle(ctx: Context, cluster: str, roles: Roles) -> Iterator[Finding]:
    """Report the roles that are members of each other."""
    done: set[str] = set()
    for start in roles.memberships:
        trail: list[str] = []
        stack = [(start, 0)]
        while stack:
            name, depth = stack.pop()
            del trail[depth:]
            if name in trail:
                circle = [*trail[trail.index(name) :], name]
                if len(circle) > 2:  # one alone is reported with its memberships
                    way = " → ".join(circle)
                    text = f"roles of cluster {cluster} are members of each other: {way}"
                    yield ctx.error(roles.places[name], text, "remove one of the memberships")
                done.update(circle)
                continue
            trail.append(name)
            if name not in done:
                stack += [(other, depth + 1) for other in roles.memberships.get(name, ())]
        done.update(trail, (start,))


def databases(ctx: Context) -> Iterator[Finding]:
    """Check the databases of every cluster."""
    for cluster, nodes in ctx.clusters("pg_cluster").items():
        node = nodes[0]
        entries = ctx.objects(node, "pg_databases")
        roles = Roles(ctx, node, [pair for name in ROLE_LISTS for pair in ctx.objects(node, name)])
        yield from _names(ctx, cluster, "database", DATABASE, RESERVED_DATABASES, entries)
        names = {str(entry.get("name")) for entry, _ in entries}
        schemas = ctx.names(node, "pg_default_schemas") | SCHEMAS
        for entry, place in entries:
            if entry.get("state") == "absent":
                continue
            if entry.get("pool_auth_user") == "":
                text = "pool_auth_user is empty"
                yield ctx.error(place.inside("pool_auth_user"), text, "name a user, or remove it")
            for key in ("owner", "pool_auth_user"):
                yield from _owner(ctx, cluster, roles, entry.get(key), place.inside(key))
            template = entry.get("template")
            if isinstance(template, str) and template and template not in names | TEMPLATES:
                text = f"the template {quote(template)} is no database of cluster {cluster}"
                yield ctx.error(place.inside("template"), text, "add it to pg_databases")
            yield from _schemas(ctx, cluster, roles, entry, place)
            known = schemas | _names_in(entry.get("schemas"))
            where = place.inside("extensions")
            yield from _extensions(ctx, entry.get("extensions"), where, known)


def default_extensions(ctx: Context) -> Iterator[Finding]:
    """Check the extensions that every database gets."""
    for use in ctx.uses:
        if use.name == "pg_default_extensions":
            yield from _extensions(ctx, use.variable.value, use.place, None)


def default_privileges(ctx: Context) -> Iterator[Finding]:
    """Report default privileges that can't be understood."""
    for use in ctx.uses:
        value = use.variable.value
        if use.name != "pg_default_privileges" or not isinstance(value, (list, tuple)):
            continue
        for index, line in enumerate(value):
            if not isinstance(line, str) or "{{" in line:
                continue
            try:
                privilege(line)
            except PigstyError as error:
                text = str(error).removeprefix("pg_default_privileges: ")
                hint = "for example GRANT SELECT ON TABLES TO dbrole_readonly"
                yield ctx.error(use.place.inside(index), text, hint)


def default_schemas(ctx: Context) -> Iterator[Finding]:
    """Report empty names among the schemas that every database gets."""
    for use in ctx.uses:
        value = use.variable.value
        if use.name == "pg_default_schemas" and isinstance(value, (list, tuple)):
            for index, name in enumerate(value):
                if name == "":
                    place = use.place.inside(index)
                    yield ctx.error(place, "the schema has no name", "remove the entry")


def _owner(ctx: Context, cluster: str, roles: Roles, name: Any, place: Place) -> Iterator[Finding]:
    """Report an owner that doesn't exist."""
    if isinstance(name, str) and name and "{{" not in name:
        fault = roles.fault(name)
        if fault:
            yield ctx.error(place, f"{fault[0]} in cluster {cluster}", fault[1])


def _schemas(
    ctx: Context, cluster: str, roles: Roles, entry: Mapping[str, Any], place: Place
) -> Iterator[Finding]:
    """Check the owners of a database's schemas, and that each schema stands there once."""
    schemas = entry.get("schemas")
    taken: set[str] = set()
    for index, schema in enumerate(schemas if isinstance(schemas, (list, tuple)) else ()):
        where = place.inside("schemas", index)
        name = schema.get("name") if isinstance(schema, Mapping) else schema
        if isinstance(schema, Mapping):
            yield from _owner(ctx, cluster, roles, schema.get("owner"), where.inside("owner"))
        if isinstance(name, str):
            if name in taken:
                yield ctx.error(where, f"the schema {name} stands here twice", "keep one of them")
            taken.add(name)


def _extensions(
    ctx: Context, extensions: Any, place: Place, schemas: set[str] | None
) -> Iterator[Finding]:
    """Warn of extensions that look misspelled, and of schemas that nothing creates."""
    for index, extension in enumerate(extensions if isinstance(extensions, (list, tuple)) else ()):
        where = place.inside(index)
        whole = extension if isinstance(extension, Mapping) else {"name": extension}
        name, schema = whole.get("name"), whole.get("schema")
        if isinstance(name, str) and name not in EXTENSIONS:
            near = nearest(name, EXTENSIONS, cutoff=0.85)
            if near:
                text = f"unknown extension {quote(name)}"
                yield ctx.warning(where, text, f"did you mean {near}?")
        if schemas is not None and isinstance(schema, str) and schema and schema not in schemas:
            text = f"the schema {quote(schema)} of extension {name} is created by nothing"
            yield ctx.warning(where, text, "add it to the database's schemas")


def _names_in(value: Any) -> set[str]:
    """Return the names in a list of texts and mappings."""
    found = set()
    for entry in value if isinstance(value, (list, tuple)) else ():
        name = entry.get("name") if isinstance(entry, Mapping) else entry
        if isinstance(name, str):
            found.add(name)
    return found
