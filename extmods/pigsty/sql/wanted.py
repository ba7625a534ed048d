"""The objects of the pillar (see ``desired.py``) to types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pigsty.sql.desired import ATTRIBUTES
from pigsty.sql.model import (
    MAINTENANCE,
    TEMPLATE,
    DefaultPrivilege,
    Membership,
    Role,
    Wanted,
    WantedDatabase,
    WantedExtension,
    WantedRole,
    WantedSchema,
)

#: Options of CREATE DATABASE that count at creation only.
_CREATION = (
    "encoding",
    "locale",
    "lc_collate",
    "lc_ctype",
    "locale_provider",
    "icu_locale",
    "icu_rules",
    "builtin_locale",
    "strategy",
)
_PLAIN = (
    "template",
    "tablespace",
    "is_template",
    "allowconn",
    "connlimit",
    "revokeconn",
    "comment",
    "baseline",
    "state",
)


def load(objects: Mapping[str, Any]) -> Wanted:
    """Turn the pillar's ``pigsty:pgsql:objects`` into types."""
    schemas = objects["schemas"]
    extensions = [{**entry, "default": True} for entry in objects["extensions"]]
    databases = {
        name: WantedDatabase(
            name=name,
            owner=objects["dbsu"],
            schemas=_schemas(schemas),
            extensions=_extensions(extensions),
            managed=False,
        )
        for name in (TEMPLATE, MAINTENANCE)
    }
    for entry in objects["databases"]:
        databases[entry["name"]] = WantedDatabase(
            name=entry["name"],
            owner=entry.get("owner") or objects["dbsu"],
            creation={key: entry[key] for key in _CREATION if key in entry},
            parameters=entry.get("parameters") or {},
            schemas=_schemas([*schemas, *entry.get("schemas", ())]),
            extensions=_extensions([*extensions, *entry.get("extensions", ())]),
            **{key: entry[key] for key in _PLAIN if key in entry},
        )
    return Wanted(
        dbsu=objects["dbsu"],
        admin=objects["admin"],
        replication=objects["replication"],
        monitor=objects["monitor"],
        roles={entry["name"]: _role(entry) for entry in objects["roles"]},
        databases=databases,
        auth_query=objects.get("auth_query", False),
        privileges=tuple(
            DefaultPrivilege(
                grant=line["grant"],
                privileges=tuple(line["privileges"]),
                on=line["on"],
                roles=tuple(line["roles"]),
            )
            for line in objects["privileges"]
        ),
    )


def _role(entry: Mapping[str, Any]) -> WantedRole:
    memberships = {
        of["name"]: Membership(
            role=of["name"],
            admin=of.get("admin", False),
            inherit=of.get("inherit"),
            set=of.get("set", True),
        )
        for of in entry.get("roles", ())
    }
    return WantedRole(
        role=Role(
            name=entry["name"],
            attributes={key: entry.get(key, default) for key, default in ATTRIBUTES.items()},
            connlimit=entry.get("connlimit", -1),
            password=entry.get("password", ""),
            valid_until=entry.get("expire_at", ""),
            comment=entry.get("comment", ""),
            parameters=entry.get("parameters") or {},
            memberships=memberships,
        ),
        expire_in=entry.get("expire_in"),
        absent=entry.get("state") == "absent",
        system=entry.get("system", False),
    )


def _schemas(entries: Iterable[Mapping[str, Any]]) -> tuple[WantedSchema, ...]:
    """The last entry of a name counts."""
    found = {
        entry["name"]: WantedSchema(
            name=entry["name"],
            owner=entry.get("owner", ""),
            absent=entry.get("state") == "absent",
        )
        for entry in entries
    }
    return tuple(found.values())


def _extensions(entries: Iterable[Mapping[str, Any]]) -> tuple[WantedExtension, ...]:
    """The last entry of a name counts."""
    found = {
        entry["name"]: WantedExtension(
            name=entry["name"],
            schema=entry.get("schema", ""),
            version=entry.get("version", ""),
            absent=entry.get("state") == "absent",
            default=entry.get("default", False),
        )
        for entry in entries
    }
    return tuple(found.values())
