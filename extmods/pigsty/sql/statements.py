"""Statements, composed with psycopg's quoting and nothing else.

Keywords come from tables here, never from the outside; names and values are quoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import LiteralString

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pigsty.sql.model import PUBLIC, Membership
from pigsty.sql.settings import elements, is_list

#: Run before a statement that carries a verifier, in its transaction: no log, no view of running
#: or past statements and no audit shows its text then, not even if it fails.
GUARD: tuple[Composable, ...] = tuple(
    SQL(line)
    for line in (
        "SET LOCAL track_activities = off",
        "SET LOCAL log_statement = 'none'",
        "SET LOCAL log_min_duration_statement = -1",
        "SET LOCAL log_min_duration_sample = -1",
        "SET LOCAL log_transaction_sample_rate = 0",
        "SET LOCAL log_duration = off",
        "SET LOCAL log_min_error_statement = 'panic'",
        "SET LOCAL pg_stat_statements.track = 'none'",
        "SET LOCAL auto_explain.log_min_duration = -1",
        "SET LOCAL pgaudit.log = 'none'",
    )
)

_ATTRIBUTES: Mapping[str, tuple[LiteralString, LiteralString]] = {
    "login": ("LOGIN", "NOLOGIN"),
    "superuser": ("SUPERUSER", "NOSUPERUSER"),
    "createdb": ("CREATEDB", "NOCREATEDB"),
    "createrole": ("CREATEROLE", "NOCREATEROLE"),
    "inherit": ("INHERIT", "NOINHERIT"),
    "replication": ("REPLICATION", "NOREPLICATION"),
    "bypassrls": ("BYPASSRLS", "NOBYPASSRLS"),
}
_PRIVILEGES: Mapping[str, LiteralString] = {
    "SELECT": "SELECT",
    "INSERT": "INSERT",
    "UPDATE": "UPDATE",
    "DELETE": "DELETE",
    "TRUNCATE": "TRUNCATE",
    "REFERENCES": "REFERENCES",
    "TRIGGER": "TRIGGER",
    "MAINTAIN": "MAINTAIN",
    "USAGE": "USAGE",
    "EXECUTE": "EXECUTE",
    "CREATE": "CREATE",
    "CONNECT": "CONNECT",
    "TEMPORARY": "TEMPORARY",
}
_KINDS: Mapping[str, LiteralString] = {
    "role": "ROLE",
    "database": "DATABASE",
    "schema": "SCHEMA",
    "tables": "TABLES",
    "sequences": "SEQUENCES",
    "functions": "FUNCTIONS",
    "types": "TYPES",
    "schemas": "SCHEMAS",
}
#: Options of CREATE DATABASE: name in the inventory -> keyword.
_CREATION: Mapping[str, LiteralString] = {
    "template": "TEMPLATE",
    "encoding": "ENCODING",
    "strategy": "STRATEGY",
    "locale": "LOCALE",
    "lc_collate": "LC_COLLATE",
    "lc_ctype": "LC_CTYPE",
    "locale_provider": "LOCALE_PROVIDER",
    "icu_locale": "ICU_LOCALE",
    "icu_rules": "ICU_RULES",
    "builtin_locale": "BUILTIN_LOCALE",
    "tablespace": "TABLESPACE",
    "owner": "OWNER",
}
_NAMES = frozenset({"template", "tablespace", "owner"})
#: The first release in which GRANT of a role takes INHERIT and SET.
_GRANT_OPTIONS = 16
#: So many bytes of a database's name stand in that of its successor while both exist.
_NAME_PART = 48


def _grantee(name: str) -> Composable:
    return SQL("PUBLIC") if name == PUBLIC else Identifier(name)


def _privileges(names: Iterable[str]) -> Composed:
    return SQL(", ").join(SQL(_PRIVILEGES[name]) for name in names)


def create_role(name: str, attributes: Mapping[str, bool], connlimit: int) -> Composed:
    """``CREATE ROLE`` with every attribute spelled out."""
    words = SQL(" ").join(SQL(_ATTRIBUTES[key][not on]) for key, on in attributes.items())
    return SQL("CREATE ROLE {} WITH {} CONNECTION LIMIT {}").format(
        Identifier(name), words, Literal(connlimit)
    )


def role_attribute(name: str, attribute: str, on: bool) -> Composed:
    """Give a role an attribute or take it away."""
    return SQL("ALTER ROLE {} {}").format(Identifier(name), SQL(_ATTRIBUTES[attribute][not on]))


def role_password(name: str, verifier: str) -> Composed:
    """Set the verifier of a role, or with "" take its password away. Run it behind ``GUARD``."""
    value = Literal(verifier) if verifier else SQL("NULL")
    return SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(name), value)


def role_valid_until(name: str, until: str) -> Composed:
    """Limit the validity of a role's password; "" lifts the limit."""
    moment = f"{until}+00" if until else "infinity"
    return SQL("ALTER ROLE {} VALID UNTIL {}").format(Identifier(name), Literal(moment))


def connlimit(kind: str, name: str, limit: int) -> Composed:
    """Limit the connections of a role or to a database."""
    return SQL("ALTER {} {} CONNECTION LIMIT {}").format(
        SQL(_KINDS[kind]), Identifier(name), Literal(limit)
    )


def comment(kind: str, name: str, text: str) -> Composed:
    """Set the comment on a role or database; "" removes it."""
    value = Literal(text) if text else SQL("NULL")
    return SQL("COMMENT ON {} {} IS {}").format(SQL(_KINDS[kind]), Identifier(name), value)


def set_parameter(kind: str, name: str, parameter: str, value: str) -> Composed:
    """Set a parameter for a role or database; a list's elements are quoted one by one."""
    values = elements(value) if is_list(parameter) else [value]
    return SQL("ALTER {} {} SET {} TO {}").format(
        SQL(_KINDS[kind]),
        Identifier(name),
        Identifier(*parameter.split(".")),
        SQL(", ").join(Literal(part) for part in values or [""]),
    )


def reset_parameter(kind: str, name: str, parameter: str) -> Composed:
    """Take a parameter of a role or database back."""
    return SQL("ALTER {} {} RESET {}").format(
        SQL(_KINDS[kind]), Identifier(name), Identifier(*parameter.split("."))
    )


def grant_role(member: str, of: Membership, major: int) -> Composed:
    """Make a role a member of another, with exactly these options."""
    granted = SQL("GRANT {} TO {}").format(Identifier(of.role), Identifier(member))
    if major < _GRANT_OPTIONS:
        return granted + SQL(" WITH ADMIN OPTION" if of.admin else "")
    inherit = SQL("" if of.inherit is None else f", INHERIT {_bool(of.inherit)}")
    return (
        granted
        + SQL(" WITH ADMIN {}").format(SQL(_bool(of.admin)))
        + inherit
        + SQL(", SET {}").format(SQL(_bool(of.set)))
    )


def revoke_role(member: str, of: Membership, major: int) -> tuple[Composed, ...]:
    """End a membership, whoever granted it."""
    revoked = SQL("REVOKE {} FROM {}").format(Identifier(of.role), Identifier(member))
    if major < _GRANT_OPTIONS or not of.grantors:
        return (revoked,)
    return tuple(
        revoked + SQL(" GRANTED BY {}").format(Identifier(grantor)) for grantor in of.grantors
    )


def revoke_admin_option(member: str, role: str) -> Composed:
    """Take the right to grant a role to others, and keep the membership."""
    return SQL("REVOKE ADMIN OPTION FOR {} FROM {}").format(Identifier(role), Identifier(member))


def _bool(value: bool) -> LiteralString:
    return "TRUE" if value else "FALSE"


def create_database(name: str, options: Mapping[str, str], is_template: bool) -> Composed:
    """``CREATE DATABASE``, closed to all but superusers until its limit is set as declared."""
    parts: list[Composable] = [
        SQL("{} = {}").format(
            SQL(_CREATION[key]), Identifier(value) if key in _NAMES else Literal(value)
        )
        for key, value in options.items()
    ]
    parts.append(SQL("CONNECTION LIMIT = 0"))
    if is_template:
        parts.append(SQL("IS_TEMPLATE = true"))
    return SQL("CREATE DATABASE {} WITH {}").format(Identifier(name), SQL(" ").join(parts))


def replace_database(
    name: str, options: Mapping[str, str], is_template: bool, was_template: bool
) -> tuple[Composed, ...]:
    """Make a database beside the one of its name, drop that one, and take its name."""
    made = f"{name.encode()[:_NAME_PART].decode(errors='ignore')}~new"
    dropping = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    opened = (database_flag(name, "is_template", False),) if was_template else ()
    return (
        # What an earlier attempt left.
        dropping.format(Identifier(made)),
        create_database(made, options, False),
        *opened,
        dropping.format(Identifier(name)),
        SQL("ALTER DATABASE {} RENAME TO {}").format(Identifier(made), Identifier(name)),
        *((database_flag(name, "is_template", True),) if is_template else ()),
    )


def drop_role(name: str) -> Composed:
    """``DROP ROLE``; refused by PostgreSQL while anything depends on it."""
    return SQL("DROP ROLE {}").format(Identifier(name))


def end_sessions(role: str) -> Composed:
    """End the sessions of a role."""
    return SQL(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
        " WHERE usename = {}"
    ).format(Literal(role))


def give_up(role: str, heir: str) -> tuple[Composed, ...]:
    """In one database: objects of a role go to its heir, its privileges away."""
    return (
        SQL("REASSIGN OWNED BY {} TO {}").format(Identifier(role), Identifier(heir)),
        SQL("DROP OWNED BY {}").format(Identifier(role)),
    )


def drop_database(name: str) -> Composed:
    """``DROP DATABASE``; sessions in it are ended."""
    return SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name))


def owner(kind: str, name: str, role: str) -> Composed:
    """Give a database or schema to a role."""
    return SQL("ALTER {} {} OWNER TO {}").format(
        SQL(_KINDS[kind]), Identifier(name), Identifier(role)
    )


def database_tablespace(name: str, tablespace: str) -> Composed:
    """Move a database; it can't have sessions then, and runs outside a transaction."""
    return SQL("ALTER DATABASE {} SET TABLESPACE {}").format(
        Identifier(name), Identifier(tablespace)
    )


def database_flag(name: str, flag: str, on: bool) -> Composed:
    """Set ``is_template`` or ``allow_connections``."""
    words: Mapping[str, LiteralString] = {
        "is_template": "IS_TEMPLATE",
        "allowconn": "ALLOW_CONNECTIONS",
    }
    return SQL("ALTER DATABASE {} {} {}").format(Identifier(name), SQL(words[flag]), Literal(on))


def grant(kind: str, name: str, privileges: Iterable[str], grantee: str) -> Composed:
    """Grant privileges on a database or schema."""
    return SQL("GRANT {} ON {} {} TO {}").format(
        _privileges(privileges), SQL(_KINDS[kind]), Identifier(name), _grantee(grantee)
    )


def revoke(kind: str, name: str, privileges: Iterable[str], grantee: str) -> Composed:
    """Revoke privileges on a database or schema."""
    return SQL("REVOKE {} ON {} {} FROM {}").format(
        _privileges(privileges), SQL(_KINDS[kind]), Identifier(name), _grantee(grantee)
    )


def default_privileges(
    grantor: str, on: str, privileges: Iterable[str], grantee: str, *, granted: bool
) -> Composed:
    """Grant or revoke privileges on objects that ``grantor`` will make."""
    verb = SQL("GRANT {} ON {} TO {}") if granted else SQL("REVOKE {} ON {} FROM {}")
    action = verb.format(_privileges(privileges), SQL(_KINDS[on]), _grantee(grantee))
    return SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} {}").format(Identifier(grantor), action)


def create_schema(name: str, role: str) -> Composed:
    """``CREATE SCHEMA``, for an owner or, with "", for the one who runs it."""
    created = SQL("CREATE SCHEMA {}").format(Identifier(name))
    return created + SQL(" AUTHORIZATION {}").format(Identifier(role)) if role else created


def drop_schema(name: str) -> Composed:
    """``DROP SCHEMA``; refused by PostgreSQL unless it is empty."""
    return SQL("DROP SCHEMA {}").format(Identifier(name))


def create_extension(name: str, schema: str, version: str) -> Composed:
    """``CREATE EXTENSION`` with those that it needs."""
    parts = [SQL("CREATE EXTENSION {}").format(Identifier(name))]
    if schema:
        parts.append(SQL("SCHEMA {}").format(Identifier(schema)))
    if version:
        parts.append(SQL("VERSION {}").format(Literal(version)))
    return SQL(" ").join([*parts, SQL("CASCADE")])


def extension_schema(name: str, schema: str) -> Composed:
    """Move an extension's objects to another schema."""
    return SQL("ALTER EXTENSION {} SET SCHEMA {}").format(Identifier(name), Identifier(schema))


def extension_version(name: str, version: str) -> Composed:
    """Update an extension to a version."""
    return SQL("ALTER EXTENSION {} UPDATE TO {}").format(Identifier(name), Literal(version))


def drop_extension(name: str) -> Composed:
    """``DROP EXTENSION``; refused by PostgreSQL while something depends on it."""
    return SQL("DROP EXTENSION {}").format(Identifier(name))
