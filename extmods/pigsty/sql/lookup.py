"""The function by which PgBouncer finds the verifiers of users that aren't in its own list.

It runs with the superuser's rights, so what it gives and to whom is narrow: login roles that are
neither superusers nor replicate, while they are valid, and to the monitoring user alone, as whom
PgBouncer asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg.sql import SQL, Composed, Identifier, Literal

from pigsty.sql.model import MONITOR, PUBLIC

NAME = "pgbouncer_auth"
SOURCE = (
    "SELECT rolname::text, rolpassword FROM pg_catalog.pg_authid"
    " WHERE rolname = $1 AND rolcanlogin AND NOT rolsuper AND NOT rolreplication"
    " AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())"
)


def statements(caller: str, others: Iterable[str]) -> tuple[Composed, ...]:
    """Make or replace the function, for one caller and none of the others.

    Args:
        caller: the role that may call it.
        others: roles that may (or by default privileges would), and shall not.
    """
    function = SQL("{}.{}(text)").format(Identifier(MONITOR), Identifier(NAME))
    making = SQL(
        "CREATE OR REPLACE FUNCTION {}.{}(text) RETURNS TABLE (username text, password text)"
        " LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS {}"
    ).format(Identifier(MONITOR), Identifier(NAME), Literal(SOURCE))
    revoking = (
        SQL("REVOKE ALL ON FUNCTION {} FROM {}").format(
            function, SQL("PUBLIC") if role == PUBLIC else Identifier(role)
        )
        for role in others
    )
    granting = SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(function, Identifier(caller))
    entering = SQL("GRANT USAGE ON SCHEMA {} TO {}").format(Identifier(MONITOR), Identifier(caller))
    return (making, *revoking, granting, entering)
