"""From declared and existing contents of a database to changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pigsty.sql import change, lookup, snapshot
from pigsty.sql.model import DefaultGrant, Extension, Grant, Lookup, Schema

PLAIN = snapshot.vanilla(17, "postgres")
SHOP = {"name": "shop"}


@pytest.fixture
def changed(compare, make):
    """A function: a declared database ``shop``, its contents, to the report of what is in it."""

    def _changed(declared=None, contents=PLAIN, refusals=(), **more):
        cluster = more.pop("cluster", {})
        users = more.pop("users", ())
        plan = compare(
            users,
            [SHOP | (declared or {})],
            things=[make.database(), make.role("owner")],
            contents={"shop": contents},
            more=more,
            **cluster,
        )
        assert [str(refusal.object) for refusal in plan.refusals] == list(refusals)
        found = change.report(step for step in plan.changes if step.object.database == "shop")
        return {name.removesuffix(" in shop"): what for name, what in found.items()}

    return _changed


def with_extension(schema="public", version="1.6", relocatable=True):
    return replace(PLAIN, extensions={"pg_trgm": Extension(schema, version, relocatable)})


def with_schema(owner="postgres"):
    return replace(PLAIN, schemas={**PLAIN.schemas, "s": Schema(owner)})


CREATED = {"created": {"old": None, "new": True}}
DROPPED = {"dropped": {"old": True, "new": False}}


@pytest.mark.parametrize(
    ("schema", "contents", "shown"),
    [
        ({}, PLAIN, CREATED),
        ({}, with_schema(), None),
        ({}, with_schema("owner"), None),
        ({"owner": "owner"}, with_schema("owner"), None),
        ({"owner": "owner"}, with_schema(), {"owner": {"old": "postgres", "new": "owner"}}),
        ({"state": "absent"}, with_schema(), DROPPED),
        ({"state": "absent"}, PLAIN, None),
    ],
)
def test_schema(changed, schema, contents, shown):
    assert changed({"schemas": [{"name": "s", **schema}]}, contents).get("schema s") == shown


@pytest.mark.parametrize(
    "schema", [{"name": "pg_s"}, {"name": "a\nb"}, {"name": "s", "owner": "nobody"}]
)
def test_refused_schema(changed, schema):
    found = changed({"schemas": [schema]}, refusals=[f"schema {schema['name']} in shop"])
    assert found == {}


@pytest.mark.parametrize(
    ("extension", "contents", "shown"),
    [
        ({}, PLAIN, {"created": {"old": None, "new": "version 1.6"}}),
        ({"version": "1.3"}, PLAIN, {"created": {"old": None, "new": "version 1.3"}}),
        ({}, with_extension(version="1.3"), None),
        ({"version": "1.6"}, with_extension(), None),
        (
            {"version": "1.6"},
            with_extension(version="1.3"),
            {"version": {"old": "1.3", "new": "1.6"}},
        ),
        ({"schema": "public"}, with_extension(), None),
        (
            {"schema": "public"},
            with_extension("other"),
            {"schema": {"old": "other", "new": "public"}},
        ),
        ({}, with_extension("other"), None),
        ({"state": "absent"}, with_extension(), DROPPED),
        ({"state": "absent"}, PLAIN, None),
    ],
)
def test_extension(changed, extension, contents, shown):
    found = changed({"extensions": [{"name": "pg_trgm", **extension}]}, contents)
    assert found.get("extension pg_trgm") == shown


def test_schema_of_an_extension_is_made(changed):
    found = changed({"extensions": [{"name": "pg_trgm", "schema": "ext"}]})
    assert list(found) == ["schema ext", "extension pg_trgm"]


def test_extension_that_can_not_move(changed):
    changed(
        {"extensions": [{"name": "pg_trgm", "schema": "public"}]},
        with_extension("other", relocatable=False),
        refusals=["extension pg_trgm in shop"],
    )


def test_unavailable_extension(compare):
    own = {"name": "shop", "extensions": [{"name": "none"}, {"name": "citext"}]}
    plan = compare([], [own])
    assert "not available" in plan.refusals[0].reason
    assert any(step.object.name == "citext" for step in plan.changes)
    default = compare([], [{"name": "shop"}], more={"extensions": [{"name": "none"}]})
    assert default.refusals == ()
    assert len(default.notes) == 1, "once, not for every database"


def test_default_extension_stays_where_it_is(changed):
    found = changed(None, with_extension("other"), extensions=[{"name": "pg_trgm", "schema": "s"}])
    assert "extension pg_trgm" not in found


def test_own_entry_wins_over_the_default_one(changed):
    found = changed(
        {"extensions": [{"name": "pg_trgm", "state": "absent"}]},
        with_extension(),
        extensions=[{"name": "pg_trgm", "schema": "s"}],
    )
    assert found == {"extension pg_trgm": DROPPED}


def test_copy_starts_with_what_template1_will_have(compare):
    plan = compare(
        [],
        [{"name": "shop", "schemas": [{"name": "own"}]}],
        more={"schemas": [{"name": "monitor"}], "extensions": [{"name": "pg_trgm"}]},
    )
    found = change.report(plan.changes)
    assert "schema monitor in template1" in found
    assert {name for name in found if name.endswith(" in shop")} == {"schema own in shop"}


def test_copy_of_template0_starts_with_nothing(compare):
    plan = compare(
        [],
        [{"name": "shop", "encoding": "LATIN1"}],
        more={"schemas": [{"name": "monitor"}]},
    )
    assert "schema monitor in shop" in change.report(plan.changes)


# Schema public.


@pytest.mark.parametrize(
    ("acl", "shown"),
    [
        ({("public", "USAGE")}, None),
        ({("public", "USAGE"), ("x", "CREATE")}, None),
        (
            {("public", "USAGE"), ("public", "CREATE")},
            {"privileges of public": {"old": "CREATE", "new": None}},
        ),
    ],
)
def test_public_creates_nothing(changed, acl, shown):
    schemas = {"public": Schema("o", frozenset(Grant(*grant) for grant in acl))}
    assert changed(None, replace(PLAIN, schemas=schemas)).get("schema public") == shown


def test_database_without_schema_public(changed):
    assert changed(None, replace(PLAIN, schemas={})) == {}


# Default privileges.

READER = {"name": "reader", "login": False, "system": True}


def line(privileges, on="tables", roles=("reader",), grant=True):
    return {"grant": grant, "privileges": list(privileges), "on": on, "roles": list(roles)}


def held(*grants, grantor="postgres", on="tables"):
    """Contents in which these are granted on what the grantor makes."""
    return replace(
        PLAIN,
        privileges=frozenset(DefaultGrant(grantor, on, *grant) for grant in grants),
        touched=frozenset({(grantor, on)}),
    )


@pytest.mark.parametrize(
    ("lines", "contents", "shown"),
    [
        ([line(["SELECT"])], PLAIN, {"tables to reader": {"old": None, "new": "SELECT"}}),
        ([line(["SELECT"])], held(("reader", "SELECT")), {}),
        (
            [line(["SELECT"]), line(["INSERT"])],
            held(("reader", "SELECT")),
            {"tables to reader": {"old": "SELECT", "new": "INSERT, SELECT"}},
        ),
        (
            [line(["SELECT"])],
            held(("reader", "SELECT"), ("reader", "DELETE")),
            {"tables to reader": {"old": "DELETE, SELECT", "new": "SELECT"}},
        ),
        ([], held(("reader", "SELECT")), {"tables to reader": {"old": "SELECT", "new": None}}),
        ([], held(("stranger", "SELECT")), {}),
        ([], held(("public", "SELECT")), {}),
        ([line(["ALL"], "sequences", ["postgres"])], PLAIN, {}),
        ([line(["EXECUTE"], "functions", ["public"])], PLAIN, {}),
        (
            [line(["EXECUTE"], "functions", ["public"], grant=False)],
            PLAIN,
            {"functions to public": {"old": "EXECUTE", "new": None}},
        ),
        (
            [line(["EXECUTE"], "functions", ["public"], grant=False)],
            held(on="functions"),
            {},
        ),
    ],
)
def test_default_privileges(changed, lines, contents, shown):
    found = changed(None, contents, users=[READER], privileges=lines)
    assert found.get("default privileges of postgres", {}) == shown


@pytest.mark.parametrize(
    ("version", "privileges"),
    [
        (170000, "DELETE, INSERT, MAINTAIN, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE"),
        (160000, "DELETE, INSERT, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE"),
    ],
)
def test_all_privileges_of_the_release(changed, version, privileges):
    found = changed(users=[READER], privileges=[line(["ALL"])], cluster={"version": version})
    assert found["default privileges of postgres"]["tables to reader"]["new"] == privileges


def test_owner_grants_in_its_own_database_alone(compare):
    plan = compare(
        [READER, {"name": "owner"}],
        [{"name": "shop", "owner": "owner"}],
        more={"privileges": [line(["SELECT"])]},
    )
    places = {
        step.object.database
        for step in plan.changes
        if step.object.kind == "default privileges of" and step.object.name == "owner"
    }
    assert places == {"shop"}


def test_privilege_for_a_role_that_does_not_exist(compare):
    plan = compare(more={"privileges": [line(["SELECT"], roles=["nobody"])]})
    assert plan.notes == ("default privileges name nobody, which doesn't exist",)


# PgBouncer's function.

LOOKUP = lookup.SOURCE


@pytest.mark.parametrize(
    ("have", "what", "revoked"),
    [
        (None, "created", ["PUBLIC"]),
        (Lookup(LOOKUP, frozenset({"mon"})), None, []),
        (Lookup(LOOKUP, frozenset({"mon", "app"})), "callers", ['"app"']),
        (Lookup(LOOKUP, frozenset()), "callers", []),
        (Lookup("SELECT 1", frozenset({"mon", "public"})), "definition", ["PUBLIC"]),
    ],
)
def test_lookup(compare, make, have, what, revoked):
    contents = replace(with_schema(), lookup=have)
    contents = replace(contents, schemas={**contents.schemas, "monitor": Schema("postgres")})
    plan = compare(
        [], [SHOP], things=[make.database()], contents={"shop": contents}, more={"auth_query": True}
    )
    mine = [s for s in plan.changes if s.object.kind == "function" and s.database == "shop"]
    assert [step.what for step in mine] == ([what] if what else [])
    texts = [text.as_string(None) for step in mine for text in step.statements]
    found = [text.rpartition(" FROM ")[2] for text in texts if text.startswith("REVOKE")]
    assert found == revoked


def test_lookup_is_taken_from_those_whom_default_privileges_name(compare):
    more = {"auth_query": True, "privileges": [line(["EXECUTE"], "functions")]}
    plan = compare([READER], more=more)
    (step, _) = [step for step in plan.changes if step.object.kind == "function"]
    assert step.database == "template1"
    texts = [text.as_string(None) for text in step.statements]
    assert 'REVOKE ALL ON FUNCTION "monitor"."pgbouncer_auth"(text) FROM "reader"' in texts


def test_no_lookup_unless_asked_for(compare):
    assert [step for step in compare().changes if step.object.kind == "function"] == []
