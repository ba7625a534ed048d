"""Small clusters, declared and existing, to compare."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest

from pigsty import catalogue
from pigsty.pillar.site import Site
from pigsty.sql import desired, diff, model, snapshot, wanted

ATTRIBUTES = desired.ATTRIBUTES
SYSTEM_ROLES = {"superuser": True, "createdb": True, "createrole": True, "replication": True}


@pytest.fixture
def pillar():
    """A function: parameters of an inventory to the objects of the pillar."""

    def _pillar(**declared):
        defaults = {name: parameter.default for name, parameter in catalogue.load().items()}
        values = {**defaults, **declared}
        node = SimpleNamespace(ip="10.0.0.1", vars=values, declared=frozenset(declared))
        member = SimpleNamespace(cluster="pg-it", node=node, vars=values)
        cluster = SimpleNamespace(primary=member, members=(member,), vars=values)
        topology = SimpleNamespace(
            pg_clusters={"pg-it": cluster}, pg_instances={"10.0.0.1": member}
        )
        return desired.pillar(topology, node, Site(key=b"k" * 32, ca=""))

    return _pillar


@pytest.fixture
def declare():
    """A function: users and databases, without any default, to what is wanted."""

    def _declare(users=(), databases=(), **more):
        objects = {
            "dbsu": "postgres",
            "admin": "dba",
            "replication": "repl",
            "monitor": "mon",
            "roles": list(users),
            "privileges": [],
            "schemas": [],
            "extensions": [],
            "databases": list(databases),
            **more,
        }
        return wanted.load(objects)

    return _declare


def role(name="app", **fields):
    """An existing role with default attributes."""
    attributes = ATTRIBUTES | {key: fields.pop(key) for key in list(fields) if key in ATTRIBUTES}
    return model.Role(name=name, attributes=attributes, **fields)


def database(name="shop", **fields):
    """An existing database as CREATE DATABASE leaves it."""
    public = frozenset({model.Grant("public", "CONNECT"), model.Grant("public", "TEMPORARY")})
    values = {
        "oid": 20000,
        "owner": "postgres",
        "encoding": "UTF8",
        "collate": "C.UTF-8",
        "ctype": "C.UTF-8",
        "tablespace": "pg_default",
        "template": False,
        "allowconn": True,
        "connlimit": -1,
        "acl": public,
        "comment": f"business database {name}",
    }
    return model.Database(name=name, **{**values, **fields})


@pytest.fixture
def existing():
    """A function: roles and databases to a cluster that has just these and what initdb makes."""

    def _existing(*things, version=170004, contents=None, extensions=("pg_trgm", "citext"), **more):
        major = version // 10000
        roles = {
            "postgres": role("postgres", bootstrap=True, **SYSTEM_ROLES),
            "pg_monitor": role("pg_monitor", login=False),
        }
        databases = {
            "template1": database("template1", template=True, comment=""),
            "template0": database("template0", template=True, allowconn=False, comment=""),
            "postgres": database("postgres", comment=""),
        }
        for thing in things:
            (roles if isinstance(thing, model.Role) else databases)[thing.name] = thing
        plain = snapshot.vanilla(major, "postgres")
        open_ones = [name for name, found in databases.items() if found.allowconn]
        return model.Actual(
            version=version,
            in_recovery=False,
            roles=roles,
            databases=databases,
            tablespaces=frozenset({"pg_default", "fast"}),
            extensions=dict.fromkeys(extensions, "1.6"),
            contents=dict.fromkeys(open_ones, plain) | (contents or {}),
            **more,
        )

    return _existing


@pytest.fixture
def make():
    """Makers of existing objects."""
    return SimpleNamespace(role=role, database=database)


@pytest.fixture
def compare(declare, existing):
    """A function: declared objects and existing ones to the plan."""

    def _compare(users=(), databases=(), things=(), today=date(2026, 1, 1), more=None, **cluster):
        return diff.plan(
            declare(users, databases, **(more or {})), existing(*things, **cluster), today
        )

    return _compare
