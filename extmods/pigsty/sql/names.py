"""Which names are accepted; the rest is refused with a reason."""

from __future__ import annotations

import re

#: NAMEDATALEN - 1: PostgreSQL cuts a longer name off silently, and two could become one.
MAX_BYTES = 63
#: PostgreSQL refuses these as names of roles, or takes them for something else.
_RESERVED_ROLES = frozenset(
    {"public", "none", "current_role", "current_user", "session_user", "user", "all"}
)
# Quotes and control characters can be quoted in SQL, but not in HBA files, PgBouncer's files,
# connection strings and logs.
_FORBIDDEN = re.compile(r"""[\x00-\x1f\x7f"'\\]""")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*")


def why_not(name: str, kind: str) -> str:
    """Return why a name of a role, database, schema or extension is refused, or "" if it isn't."""
    if not name.strip():
        return "the name is empty"
    if _FORBIDDEN.search(name):
        return f"the name {name!r} holds a quote, a backslash or a control character"
    if len(name.encode()) > MAX_BYTES:
        return f"the name {name!r} is longer than {MAX_BYTES} bytes"
    if kind == "role" and name.lower() in _RESERVED_ROLES:
        return f"{name!r} is a reserved name"
    if kind in ("role", "schema") and name.startswith("pg_"):
        return f"names that begin with pg_ are PostgreSQL's own: {name!r}"
    if kind == "database" and name == "template0":
        return "template0 is PostgreSQL's own and stays as it is"
    return ""


def bad_parameter(name: str) -> str:
    """Return why a parameter's name is refused, or "" if it isn't."""
    if _PARAMETER.fullmatch(name) is None:
        return f"{name!r} is no name of a parameter"
    if name.lower().startswith("pigsty."):
        return f"parameters that begin with pigsty. are this system's own: {name!r}"
    return ""
