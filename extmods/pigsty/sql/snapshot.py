"""Read what exists: one query for the whole cluster, one for each database that is looked into.

The cluster's is a single JSON value, so that a thousand roles cost one round trip.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, LiteralString

from pigsty.sql import acl, model
from pigsty.sql.model import (
    Actual,
    Contents,
    Database,
    DefaultGrant,
    Extension,
    Grant,
    Lookup,
    Membership,
    Role,
    Schema,
)

CLUSTER: LiteralString = """
SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'recovery', pg_is_in_recovery(),
  'roles', (
    SELECT json_agg(r) FROM (
      SELECT a.oid::int8, rolname AS name, rolcanlogin AS login, rolsuper AS superuser,
             rolcreatedb AS createdb, rolcreaterole AS createrole, rolinherit AS inherit,
             rolreplication AS replication, rolbypassrls AS bypassrls, rolconnlimit AS connlimit,
             rolpassword AS password, d.description AS comment, s.setconfig AS settings,
             CASE WHEN isfinite(rolvaliduntil) THEN
               to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') END AS until
        FROM pg_authid a
        LEFT JOIN pg_shdescription d ON d.objoid = a.oid AND d.classoid = 'pg_authid'::regclass
        LEFT JOIN pg_db_role_setting s ON s.setrole = a.oid AND s.setdatabase = 0) r),
  'memberships', (
    SELECT json_agg(m) FROM (
      SELECT member::int8, r.rolname AS role, coalesce(g.rolname, '') AS grantor,
             row_to_json(x) AS options
        FROM pg_auth_members x
        JOIN pg_authid r ON r.oid = x.roleid
        LEFT JOIN pg_authid g ON g.oid = x.grantor) m),
  'databases', (
    SELECT json_agg(d) FROM (
      SELECT b.oid::int8, datname AS name, pg_get_userbyid(datdba) AS owner,
             pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype,
             t.spcname AS tablespace, datistemplate AS template, datallowconn AS allowconn,
             datconnlimit AS connlimit, d.description AS comment, s.setconfig AS settings,
             (SELECT json_agg(json_build_array(coalesce(g.rolname, 'public'), x.privilege_type))
                FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) x
                LEFT JOIN pg_authid g ON g.oid = x.grantee
               WHERE x.grantee <> datdba) AS acl
        FROM pg_database b
        JOIN pg_tablespace t ON t.oid = b.dattablespace
        LEFT JOIN pg_shdescription d ON d.objoid = b.oid AND d.classoid = 'pg_database'::regclass
        LEFT JOIN pg_db_role_setting s ON s.setdatabase = b.oid AND s.setrole = 0) d),
  'holdings', (
    SELECT json_agg(h) FROM (
      SELECT DISTINCT a.rolname AS role, b.datname AS database
        FROM pg_authid a
        JOIN pg_shdepend s ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = a.oid
        JOIN pg_database b ON b.oid = s.dbid
       WHERE a.rolname = ANY (%s)) h),
  'tablespaces', (SELECT json_agg(spcname) FROM pg_tablespace),
  'extensions', (SELECT json_object_agg(name, default_version) FROM pg_available_extensions())
)
"""

#: Without parameters, functions and joins: what a new session has to look up for a query costs more
#: than the query. Rows: kind, name, OID of what it belongs to, text, flag, OID.
CONTENTS: LiteralString = """
SELECT 'schema', nspname::text, nspowner, nspacl::text, false, oid FROM pg_namespace
UNION ALL
SELECT 'extension', extname::text, extnamespace, extversion, extrelocatable, oid FROM pg_extension
UNION ALL
SELECT 'privileges', defaclobjtype::text, defaclrole, defaclacl::text, false, oid
  FROM pg_default_acl WHERE defaclnamespace = 0
"""

#: The same, with PgBouncer's function; for clusters that have it.
CONTENTS_AND_LOOKUP: LiteralString = (
    CONTENTS
    + """
UNION ALL
SELECT 'lookup', prosrc, proowner, proacl::text, prosecdef, pronamespace
  FROM pg_proc WHERE proname = 'pgbouncer_auth'
"""
)

_ATTRIBUTES = (
    "login",
    "superuser",
    "createdb",
    "createrole",
    "inherit",
    "replication",
    "bypassrls",
)
#: The OID of the role that initdb makes.
_BOOTSTRAP_OID = 10
_KINDS = {letter: kind for kind, letter in model.OBJECT_TYPES.items()}
#: What PUBLIC may do with new objects until someone says otherwise (CREATE … defaults).
_PUBLIC_DEFAULTS = {"functions": "EXECUTE", "types": "USAGE"}


def cluster(raw: Mapping[str, Any]) -> Actual:
    """Turn the answer to ``CLUSTER`` into types; ``contents`` is left empty."""
    memberships: dict[int, dict[str, Membership]] = {}
    for entry in raw["memberships"] or ():
        found = _membership(entry)
        mine = memberships.setdefault(entry["member"], {})
        mine[found.role] = _stronger(mine.get(found.role), found)
    roles = {
        entry["name"]: _role(entry, memberships.get(entry["oid"], {})) for entry in raw["roles"]
    }
    holdings: dict[str, set[str]] = {}
    for entry in raw["holdings"] or ():
        holdings.setdefault(entry["role"], set()).add(entry["database"])
    return Actual(
        version=raw["version"],
        in_recovery=raw["recovery"],
        roles=roles,
        databases={entry["name"]: _database(entry) for entry in raw["databases"]},
        tablespaces=frozenset(raw["tablespaces"]),
        extensions=raw["extensions"] or {},
        holdings={role: frozenset(names) for role, names in holdings.items()},
    )


def contents(rows: Iterable[tuple[Any, ...]], roles: Mapping[str, Role]) -> Contents:
    """Turn the rows of ``CONTENTS`` into types.

    Args:
        rows: what the query returned.
        roles: the cluster's roles, by whose OIDs owners and grantors are named. One that came to
            be after they were read is left out, with what it owns.
    """
    names = {role.oid: name for name, role in roles.items()}
    schemas: dict[str, Schema] = {}
    extensions: dict[str, tuple[int, str, bool]] = {}
    privileges: set[DefaultGrant] = set()
    touched: set[tuple[str, str]] = set()
    places: dict[int, str] = {}
    found: list[tuple[int, Lookup]] = []
    for kind, name, of, text, flag, oid in rows:
        if kind == "extension":
            extensions[name] = (of, text, flag)
        elif kind == "schema":
            places[oid] = name
            if of in names:
                granted = acl.grants(text)
                others = frozenset(Grant(*grant) for grant in granted if grant[0] != names[of])
                schemas[name] = Schema(names[of], others)
        elif kind == "lookup":
            # Without an entry of its own in the ACL, everybody may call a function.
            callers = {grantee for grantee, _ in acl.grants(text)} if text else {model.PUBLIC}
            source = name if flag else ""
            found.append((oid, Lookup(source, frozenset(callers - {names.get(of)}))))
        elif name in _KINDS and of in names:
            grantor, on = names[of], _KINDS[name]
            touched.add((grantor, on))
            privileges.update(
                DefaultGrant(grantor, on, *grant)
                for grant in acl.grants(text)
                if grant[0] != grantor
            )
    return Contents(
        schemas=schemas,
        extensions={
            name: Extension(places[schema], version, relocatable)
            for name, (schema, version, relocatable) in extensions.items()
        },
        privileges=frozenset(privileges),
        touched=frozenset(touched),
        lookup=next((one for place, one in found if places[place] == model.MONITOR), None),
    )


def privileges_of(have: Contents, grantor: str) -> set[DefaultGrant]:
    """Return the default privileges that others than ``grantor`` get on what ``grantor`` makes.

    A role and kind without an entry of its own in ``pg_default_acl`` has PostgreSQL's defaults.
    """
    found = {grant for grant in have.privileges if grant.grantor == grantor}
    for kind, privilege in _PUBLIC_DEFAULTS.items():
        if (grantor, kind) not in have.touched:
            found.add(DefaultGrant(grantor, kind, model.PUBLIC, privilege))
    return found


def vanilla(major: int, dbsu: str) -> Contents:
    """Return what a copy of template0 holds."""
    create = () if major >= 15 else (Grant(model.PUBLIC, "CREATE"),)
    public = frozenset((Grant(model.PUBLIC, "USAGE"), *create))
    owner = "pg_database_owner" if major >= 15 else dbsu
    return Contents(
        schemas={"public": Schema(owner, public)},
        extensions={"plpgsql": Extension("pg_catalog", "1.0", False)},
    )


def split_settings(entries: Iterable[str] | None) -> tuple[dict[str, str], dict[str, str]]:
    """Split ``name=value`` texts of ``setconfig`` into settings and the marks of this system."""
    parameters: dict[str, str] = {}
    marks: dict[str, str] = {}
    for entry in entries or ():
        name, _, value = entry.partition("=")
        if name.startswith(model.MARK):
            marks[name.removeprefix(model.MARK)] = value
        else:
            parameters[name] = value
    return parameters, marks


def _role(entry: Mapping[str, Any], memberships: Mapping[str, Membership]) -> Role:
    parameters, marks = split_settings(entry["settings"])
    return Role(
        name=entry["name"],
        attributes={name: entry[name] for name in _ATTRIBUTES},
        connlimit=entry["connlimit"],
        password=entry["password"] or "",
        valid_until=entry["until"] or "",
        comment=entry["comment"] or "",
        parameters=parameters,
        memberships=memberships,
        marks=marks,
        bootstrap=entry["oid"] == _BOOTSTRAP_OID,
        oid=entry["oid"],
    )


def _membership(entry: Mapping[str, Any]) -> Membership:
    options = entry["options"]
    return Membership(
        role=entry["role"],
        admin=options["admin_option"],
        inherit=options.get("inherit_option"),
        set=options.get("set_option", True),
        grantors=(entry["grantor"],) if entry["grantor"] else (),
    )


def _stronger(one: Membership | None, other: Membership) -> Membership:
    """Join two grants of the same membership: what either gives counts."""
    if one is None:
        return other
    return Membership(
        role=one.role,
        admin=one.admin or other.admin,
        inherit=other.inherit if one.inherit is None else one.inherit or other.inherit,
        set=one.set or other.set,
        grantors=(*one.grantors, *other.grantors),
    )


def _database(entry: Mapping[str, Any]) -> Database:
    parameters, marks = split_settings(entry["settings"])
    plain: Sequence[str] = (
        "name",
        "oid",
        "owner",
        "encoding",
        "collate",
        "ctype",
        "tablespace",
        "template",
        "allowconn",
        "connlimit",
    )
    return Database(
        **{key: entry[key] for key in plain},
        acl=frozenset(Grant(grantee, privilege) for grantee, privilege in entry["acl"] or ()),
        comment=entry["comment"] or "",
        parameters=parameters,
        marks=marks,
    )
