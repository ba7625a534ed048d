"""Every statement's text, with names and values that try to break out."""

from __future__ import annotations

import pytest

from pigsty.sql import statements as sql
from pigsty.sql.model import Membership

EVIL = 'a"; DROP TABLE x; --'
QUOTED = '"a""; DROP TABLE x; --"'
TEXT = "it's \\ %s {} \n; --"


def text(statement):
    return statement.as_string(None)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            sql.create_role(EVIL, {"login": True, "superuser": False}, -1),
            f"CREATE ROLE {QUOTED} WITH LOGIN NOSUPERUSER CONNECTION LIMIT -1",
        ),
        (sql.role_attribute(EVIL, "bypassrls", False), f"ALTER ROLE {QUOTED} NOBYPASSRLS"),
        (sql.role_password("a", "md5'x"), "ALTER ROLE \"a\" PASSWORD 'md5''x'"),
        (sql.role_password("a", ""), 'ALTER ROLE "a" PASSWORD NULL'),
        (
            sql.role_valid_until("a", "2030-01-02T00:00:00"),
            "ALTER ROLE \"a\" VALID UNTIL '2030-01-02T00:00:00+00'",
        ),
        (sql.role_valid_until("a", ""), "ALTER ROLE \"a\" VALID UNTIL 'infinity'"),
        (sql.connlimit("role", EVIL, 5), f"ALTER ROLE {QUOTED} CONNECTION LIMIT 5"),
        (sql.connlimit("database", "d", 5), 'ALTER DATABASE "d" CONNECTION LIMIT 5'),
        (
            sql.comment("database", EVIL, TEXT),
            f"COMMENT ON DATABASE {QUOTED} IS  E'it''s \\\\ %s {{}} \n; --'",
        ),
        (sql.comment("role", "a", ""), 'COMMENT ON ROLE "a" IS NULL'),
        (
            sql.set_parameter("role", "a", "search_path", '"$user", "x"", y"'),
            """ALTER ROLE "a" SET "search_path" TO '$user', 'x", y'""",
        ),
        (
            sql.set_parameter("database", "a", "app.tenant", "x, y"),
            """ALTER DATABASE "a" SET "app"."tenant" TO 'x, y'""",
        ),
        (
            sql.set_parameter("role", "a", "search_path", ""),
            """ALTER ROLE "a" SET "search_path" TO ''""",
        ),
        (
            sql.reset_parameter("role", "a", 'x"y'),
            'ALTER ROLE "a" RESET "x""y"',
        ),
        (sql.grant_role("m", Membership("g"), 15), 'GRANT "g" TO "m"'),
        (
            sql.grant_role("m", Membership("g", admin=True), 15),
            'GRANT "g" TO "m" WITH ADMIN OPTION',
        ),
        (
            sql.grant_role("m", Membership("g", inherit=False), 16),
            'GRANT "g" TO "m" WITH ADMIN FALSE, INHERIT FALSE, SET TRUE',
        ),
        (sql.revoke_admin_option("m", "g"), 'REVOKE ADMIN OPTION FOR "g" FROM "m"'),
        (
            sql.create_database(EVIL, {"template": "t", "encoding": "x'y", "owner": "o"}, False),
            f"CREATE DATABASE {QUOTED} WITH TEMPLATE = \"t\" ENCODING = 'x''y' OWNER = \"o\""
            " CONNECTION LIMIT = 0",
        ),
        (
            sql.create_database("d", {}, True),
            'CREATE DATABASE "d" WITH CONNECTION LIMIT = 0 IS_TEMPLATE = true',
        ),
        (sql.drop_database(EVIL), f"DROP DATABASE {QUOTED} WITH (FORCE)"),
        (sql.drop_role(EVIL), f"DROP ROLE {QUOTED}"),
        (sql.owner("schema", "s", EVIL), f'ALTER SCHEMA "s" OWNER TO {QUOTED}'),
        (sql.database_tablespace("d", "t"), 'ALTER DATABASE "d" SET TABLESPACE "t"'),
        (sql.database_flag("d", "allowconn", False), 'ALTER DATABASE "d" ALLOW_CONNECTIONS false'),
        (
            sql.grant("database", "d", ["CONNECT", "CREATE"], "public"),
            'GRANT CONNECT, CREATE ON DATABASE "d" TO PUBLIC',
        ),
        (
            sql.revoke("schema", "s", ["CREATE"], EVIL),
            f'REVOKE CREATE ON SCHEMA "s" FROM {QUOTED}',
        ),
        (
            sql.default_privileges("g", "tables", ["SELECT"], EVIL, granted=True),
            f'ALTER DEFAULT PRIVILEGES FOR ROLE "g" GRANT SELECT ON TABLES TO {QUOTED}',
        ),
        (
            sql.default_privileges("g", "functions", ["EXECUTE"], "public", granted=False),
            'ALTER DEFAULT PRIVILEGES FOR ROLE "g" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC',
        ),
        (sql.create_schema("s", ""), 'CREATE SCHEMA "s"'),
        (sql.create_schema("s", "o"), 'CREATE SCHEMA "s" AUTHORIZATION "o"'),
        (sql.drop_schema(EVIL), f"DROP SCHEMA {QUOTED}"),
        (
            sql.create_extension(EVIL, "s", "1'2"),
            f"CREATE EXTENSION {QUOTED} SCHEMA \"s\" VERSION '1''2' CASCADE",
        ),
        (sql.create_extension("e", "", ""), 'CREATE EXTENSION "e" CASCADE'),
        (sql.extension_schema("e", "s"), 'ALTER EXTENSION "e" SET SCHEMA "s"'),
        (sql.extension_version("e", "1.2"), "ALTER EXTENSION \"e\" UPDATE TO '1.2'"),
        (sql.drop_extension("e"), 'DROP EXTENSION "e"'),
    ],
)
def test_text(statement, expected):
    assert " ".join(text(statement).split()) == " ".join(expected.split())


def test_every_grantor_revokes_its_own_grant_since_16():
    membership = Membership("g", grantors=("one", EVIL))
    assert [text(statement) for statement in sql.revoke_role("m", membership, 17)] == [
        'REVOKE "g" FROM "m" GRANTED BY "one"',
        f'REVOKE "g" FROM "m" GRANTED BY {QUOTED}',
    ]
    assert [text(statement) for statement in sql.revoke_role("m", membership, 15)] == [
        'REVOKE "g" FROM "m"'
    ]


@pytest.mark.parametrize("privilege", ["ALL", "SELECT ON x TO y; --", "select"])
def test_privileges_come_from_the_table_alone(privilege):
    with pytest.raises(KeyError):
        sql.grant("schema", "s", [privilege], "x")


def test_end_sessions_quotes_the_name():
    assert text(sql.end_sessions("o'x")).endswith("usename = 'o''x'")
