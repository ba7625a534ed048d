"""The declared objects of a cluster as plain data for the pillar; passwords only as verifiers.

Every member of a cluster gets the same data, as any of them may lead. The shape (keys at their
default are left out):

``dbsu``, ``admin``, ``replication``, ``monitor``
    names of the system's roles.
``auth_query``
    PgBouncer looks passwords up in the database, so it needs a function there.
``roles``
    list of roles: ``name``, attributes, ``connlimit``, ``password`` (verifier), ``expire_in``,
    ``expire_at``, ``comment``, ``parameters``, ``roles`` (memberships), ``state``, ``system``.
``privileges``
    default privileges: ``grant`` (or revoke), ``privileges``, ``on``, ``roles``.
``schemas``, ``extensions``
    what template1, postgres and every declared database get.
``databases``
    list of databases with ``schemas``, ``extensions``, ``baseline`` and the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pigsty.errors import PillarError
from pigsty.sql import passwords, scram

if TYPE_CHECKING:
    from pigsty.pillar.site import Site
    from pigsty.topology import Node, Topology

#: Parameter that names a system role -> (its default name, the parameter of its password).
SYSTEM = {
    "pg_dbsu": ("postgres", "pg_dbsu_password"),
    "pg_replication_username": ("replicator", "pg_replication_password"),
    "pg_admin_username": ("dbuser_dba", "pg_admin_password"),
    "pg_monitor_username": ("dbuser_monitor", "pg_monitor_password"),
}
#: Databases of every cluster, of which the contents are looked after.
CONTENTS = ("postgres", "template1")
#: Attributes of a role and their defaults.
ATTRIBUTES = {
    "login": True,
    "superuser": False,
    "createdb": False,
    "createrole": False,
    "inherit": True,
    "replication": False,
    "bypassrls": False,
}
#: What a system role is at least, where the list of default roles doesn't have it.
_NEEDED: dict[str, dict[str, Any]] = {
    "pg_dbsu": {},
    "pg_replication_username": {"roles": [{"name": "pg_monitor"}]},
    "pg_admin_username": {"superuser": True},
    "pg_monitor_username": {"roles": [{"name": "pg_monitor"}]},
}
_TEXTS = (
    "owner",
    "template",
    "encoding",
    "locale",
    "lc_collate",
    "lc_ctype",
    "locale_provider",
    "icu_locale",
    "icu_rules",
    "builtin_locale",
    "strategy",
    "tablespace",
    "baseline",
)
_PRIVILEGE = re.compile(
    r"(?P<verb>GRANT|REVOKE)\s+(?P<privileges>[A-Z,\s]+?)\s+ON\s+"
    r"(?P<on>TABLES|SEQUENCES|FUNCTIONS|ROUTINES|TYPES|SCHEMAS)\s+(?:TO|FROM)\s+(?P<roles>.+?);?\s*",
    re.IGNORECASE,
)
_KINDS = {"routines": "functions"}
#: What can be granted on objects of each kind.
PRIVILEGES: Mapping[str, tuple[str, ...]] = {
    "tables": (
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "TRUNCATE",
        "REFERENCES",
        "TRIGGER",
        "MAINTAIN",
    ),
    "sequences": ("USAGE", "SELECT", "UPDATE"),
    "functions": ("EXECUTE",),
    "types": ("USAGE",),
    "schemas": ("USAGE", "CREATE"),
}


def pillar(topology: Topology, node: Node, site: Site) -> dict[str, Any]:
    """Return the declared objects of the cluster that a node belongs to.

    Args:
        topology: the deployment.
        node: a member of a PostgreSQL cluster.
        site: the deployment's key, from which salts and undeclared passwords are derived.

    Raises:
        PillarError: an object has no name, or a default privilege can't be understood.
    """
    cluster = topology.pg_instances[node.ip].cluster
    values = topology.pg_clusters[cluster].vars
    names = _system_names(values)
    secrets = {
        names[param]: passwords.password(topology, cluster, site, of)
        for param, (_, of) in SYSTEM.items()
    }
    method = str(values.get("pg_pwd_enc") or "scram-sha-256")
    roles = _declared_roles(topology, cluster)
    for name, role in roles.items():
        plain = secrets.get(name) or role.pop("password", "")
        if plain:
            role["password"] = scram.verifier(plain, name, site.key, method)
    return {
        "auth_query": bool(values.get("pgbouncer_auth_query")),
        "dbsu": names["pg_dbsu"],
        "admin": names["pg_admin_username"],
        "replication": names["pg_replication_username"],
        "monitor": names["pg_monitor_username"],
        "roles": list(roles.values()),
        "privileges": [privilege(line) for line in values.get("pg_default_privileges") or ()],
        "schemas": _named(values.get("pg_default_schemas"), "pg_default_schemas", ("owner",)),
        "extensions": _named(
            values.get("pg_default_extensions"), "pg_default_extensions", ("schema", "version")
        ),
        "databases": _databases(values.get("pg_databases") or ()),
    }


def names(topology: Topology, cluster: str) -> dict[str, tuple[str, ...]]:
    """Return the names of a cluster's declared ``users`` (roles all) and ``databases``.

    Raises:
        PillarError: an object has no name.
    """
    databases = _databases(topology.pg_clusters[cluster].vars.get("pg_databases") or ())
    return {
        "users": tuple(_declared_roles(topology, cluster)),
        "databases": tuple(dict.fromkeys([entry["name"] for entry in databases] + [*CONTENTS])),
    }


def _system_names(values: Mapping[str, Any]) -> dict[str, str]:
    return {param: str(values.get(param) or default) for param, (default, _) in SYSTEM.items()}


def shown(topology: Topology, cluster: str) -> dict[str, list[dict[str, Any]]]:
    """Return a cluster's declared objects for a person's eyes: the pillar's, without passwords.

    Returns:
        ``users`` (roles all; ``system`` marks those of every cluster), ``databases``, and
        ``extensions`` that every database gets; what is to be absent is left out.

    Raises:
        PillarError: an object has no name.
    """
    values = topology.pg_clusters[cluster].vars
    found: dict[str, list[dict[str, Any]]] = {
        "users": [
            {key: value for key, value in role.items() if key != "password"}
            for role in _declared_roles(topology, cluster).values()
        ],
        "databases": _databases(values.get("pg_databases") or ()),
        "extensions": _named(
            values.get("pg_default_extensions"), "pg_default_extensions", ("schema", "version")
        ),
    }
    return {
        kind: [entry for entry in entries if entry.get("state") != "absent"]
        for kind, entries in found.items()
    }


def _declared_roles(topology: Topology, cluster: str) -> dict[str, dict[str, Any]]:
    members = topology.pg_clusters[cluster]
    # What the host itself declares does not matter: the cluster's view is the declared primary's.
    declared = (members.primary or members.members[0]).node.declared
    return _roles(members.vars, _system_names(members.vars), "pg_default_roles" in declared)


def _roles(
    values: Mapping[str, Any], names: Mapping[str, str], declared: bool
) -> dict[str, dict[str, Any]]:
    """Default roles, then users; a later definition of the same name adds to the earlier one."""
    renamed = {} if declared else {SYSTEM[param][0]: name for param, name in names.items()}
    roles: dict[str, dict[str, Any]] = {}
    for param in ("pg_default_roles", "pg_users"):
        for entry in values.get(param) or ():
            role = _role(entry, param)
            name = role["name"]
            if param == "pg_default_roles":
                # The default list names the system roles by their default names: follow a rename.
                name = role["name"] = renamed.get(name, name)
                role["system"] = True
            elif "comment" not in role and name not in roles:
                role["comment"] = f"business user {name}"
            roles[name] = {**roles.get(name, {}), **role}
    for param, needed in _NEEDED.items():
        # A list without a system role doesn't make it go away: Patroni and exporters need it.
        role = roles.setdefault(names[param], {"name": names[param], **needed})
        role["system"] = True
    roles[names["pg_dbsu"]]["superuser"] = True
    roles[names["pg_replication_username"]]["replication"] = True
    for role in roles.values():
        for key, default in ATTRIBUTES.items():
            if role.get(key) is default:
                del role[key]
    return roles


def _role(entry: Mapping[str, Any], param: str) -> dict[str, Any]:
    """One role; only what is declared."""
    role: dict[str, Any] = {"name": _name(entry, param)}
    for key in ATTRIBUTES:
        if entry.get(key) is not None:
            role[key] = bool(entry[key])
    for key in ("connlimit", "expire_in"):
        if entry.get(key) is not None and entry[key] != -1:
            role[key] = int(entry[key])
    for key in ("expire_at", "comment", "password"):
        if entry.get(key):
            role[key] = str(entry[key])
    if entry.get("state", "create") != "create":
        role["state"] = str(entry["state"])
    if parameters := settings(entry.get("parameters")):
        role["parameters"] = parameters
    memberships = []
    for item in entry.get("roles") or ():
        of = {"name": item} if isinstance(item, str) else dict(item)
        if of.get("state", "grant") in ("grant", "create"):
            keys = ("admin", "set", "inherit")
            options = {key: bool(of[key]) for key in keys if of.get(key) is not None}
            memberships.append({"name": _name(of, f"{param} ({role['name']}) roles"), **options})
    if memberships:
        role["roles"] = memberships
    return role


def _databases(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The databases, in the order of the inventory; the last definition of a name counts."""
    databases: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = _name(entry, "pg_databases")
        database: dict[str, Any] = {"name": name}
        for key in _TEXTS:
            if entry.get(key):
                database[key] = str(entry[key])
        for key in ("is_template", "revokeconn"):
            if entry.get(key):
                database[key] = True
        if entry.get("allowconn") is not None and not entry["allowconn"]:
            database["allowconn"] = False
        if entry.get("connlimit") is not None and entry["connlimit"] != -1:
            database["connlimit"] = int(entry["connlimit"])
        database["comment"] = str(entry.get("comment") or f"business database {name}")
        if entry.get("state", "create") != "create":
            database["state"] = str(entry["state"])
        if parameters := settings(entry.get("parameters")):
            database["parameters"] = parameters
        where = f"pg_databases ({name})"
        if schemas := _named(entry.get("schemas"), f"{where} schemas", ("owner",)):
            database["schemas"] = schemas
        extensions = _named(entry.get("extensions"), f"{where} extensions", ("schema", "version"))
        if extensions:
            database["extensions"] = extensions
        databases[name] = database
    return list(databases.values())


def _named(entries: Any, where: str, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """A list of names or of mappings with a name, as mappings; the last of a name counts."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries or ():
        item = {"name": entry} if isinstance(entry, str) else dict(entry)
        name = _name(item, where)
        found[name] = {"name": name} | {key: str(item[key]) for key in keys if item.get(key)}
        if item.get("state", "create") != "create":
            found[name]["state"] = str(item["state"])
    return list(found.values())


def settings(entries: Mapping[str, Any] | None) -> dict[str, str]:
    """Return settings as text, sorted by name; a value of ``DEFAULT`` means that there is none."""
    found: dict[str, str] = {}
    for name, value in sorted((entries or {}).items()):
        if isinstance(value, bool):
            found[str(name)] = "on" if value else "off"
        elif isinstance(value, list | tuple):
            found[str(name)] = ", ".join(map(str, value))
        elif value is not None and str(value).strip().upper() != "DEFAULT":
            found[str(name)] = str(value)
    return found


def privilege(line: str) -> dict[str, Any]:
    """``GRANT SELECT ON TABLES TO x`` taken apart: minions compose it with proper quoting."""
    match = _PRIVILEGE.fullmatch(line.strip())
    if match is None:
        raise PillarError(
            f"pg_default_privileges: {line!r} is not understood; "
            "write GRANT <privileges> ON TABLES|SEQUENCES|FUNCTIONS|TYPES|SCHEMAS TO <role>"
        )
    on = match["on"].lower()
    privileges = (" ".join(part.split()).upper() for part in match["privileges"].split(","))
    roles = (part.strip().strip('"') for part in match["roles"].split(","))
    on = _KINDS.get(on, on)
    named = ["ALL" if part == "ALL PRIVILEGES" else part for part in privileges]
    if unknown := [name for name in named if name != "ALL" and name not in PRIVILEGES[on]]:
        raise PillarError(
            f"pg_default_privileges: {line!r}: there is no privilege {unknown[0]} on {on}; "
            f"there are ALL, {', '.join(PRIVILEGES[on])}"
        )
    return {
        "grant": match["verb"].upper() == "GRANT",
        "privileges": named,
        "on": on,
        "roles": ["public" if role.upper() == "PUBLIC" else role for role in roles],
    }


def _name(entry: Mapping[str, Any], where: str) -> str:
    name = entry.get("name")
    if name in (None, ""):
        raise PillarError(f"{where}: an entry has no name")
    return str(name)
