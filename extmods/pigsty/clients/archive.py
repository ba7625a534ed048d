"""The copy of the journal in PostgreSQL: the table, and how it is written.

The admin node connects as the administrators' user, by TLS, as that user may from anywhere within
the intranet. libpq tries the members one after the other until one takes writes, so whoever leads
is found without asking anybody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal, Placeholder
from psycopg.types.json import Jsonb

from pigsty.archive import Batch, Row, Target, target
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError
from pigsty.pillar.site import Site
from pigsty.render.certificates import CA
from pigsty.sql.passwords import password
from pigsty.sql.session import NO_FILE, text
from pigsty.topology import Topology

SCHEMA, TABLE = "pigsty", "reaction"
#: Who may read it, where there are such roles; nobody but its owner may write.
READERS = ("dbrole_readonly", "dbrole_offline")

_NAME = SQL("{}.{}").format(Identifier(SCHEMA), Identifier(TABLE))
_MEANING = "Reactions of Pigsty's admin node that have ended: a copy of its journal."
#: The columns: name, type, meaning.
_COLUMNS: tuple[tuple[str, LiteralString, str], ...] = (
    ("id", "bigint NOT NULL", "number of the reaction; known by queued too"),
    ("queued", "timestamptz NOT NULL", "when the first hint was fired"),
    ("journal", "uuid NOT NULL", "which journal it was copied from"),
    ("revision", "bigint NOT NULL", "number of its last change in that journal"),
    ("began", "timestamptz", "when the last attempt began"),
    ("ended", "timestamptz NOT NULL", "when it ended"),
    (
        "duration",
        "interval GENERATED ALWAYS AS (ended - queued) STORED",
        "from the first hint to the end",
    ),
    ("kind", "text NOT NULL", "what it reacted to, for example pgsql.leader"),
    ("subject", "text NOT NULL", "whom it was about: a cluster, a host, the inventory, an alert"),
    ("cause", "text NOT NULL", "what the last hint said; a hint is anybody's word"),
    ("causes", "jsonb NOT NULL", "the newest hints: at (seconds since 1970), sender, data"),
    ("hints", "integer NOT NULL", "how many hints there were"),
    ("attempts", "integer NOT NULL", "how often it began"),
    ("state", "text NOT NULL", "done, or failed"),
    ("outcome", "text NOT NULL", "what was true, and what was done, as a sentence"),
    ("effect", "jsonb NOT NULL", "states that changed something, troubles, who is to follow"),
)
_TIMES = frozenset({"queued", "began", "ended"})
_WRITTEN = ("journal", *(item.name for item in fields(Row)))


@dataclass(frozen=True, slots=True)
class Archive:
    """The database of the copy (see :class:`pigsty.archiving.Copy`).

    Attributes:
        target: where it is.
        password: of its user.
        ca: file of the CAs that its members' certificates may come from.
    """

    target: Target
    password: str = field(repr=False)
    ca: str

    @classmethod
    def of(cls, topology: Topology, key: Path, ca: Path) -> Archive | None:
        """Return the database that an inventory declares; None where it declares none.

        Args:
            topology: a deployment without errors.
            key: file of the deployment's key, from which an undeclared password is derived.
            ca: file of the CA that signs.

        Raises:
            PillarError: this machine is no admin node.
        """
        found = target(topology)
        if found is None:
            return None
        word = password(topology, found.cluster, Site.read(key, ca), "pg_admin_password")
        return cls(found, word, CA)

    @contextmanager
    def session(self) -> Iterator[Table]:
        """Open a session on the member that takes writes; the table is made if there is none.

        Raises:
            ClientError: no member takes writes, or it refuses.
        """
        try:
            with self._connect() as connection:
                table = Table(connection)
                table.make()
                yield table
        except psycopg.Error as error:
            raise ClientError(f"{self.target}: {text(error)}") from None

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        limit = DEADLINES["journal.copy"]
        settings = {
            "TimeZone": "UTC",
            "search_path": "pg_catalog",
            "client_min_messages": "warning",
            "jit": "off",
            "lock_timeout": f"{limit:.0f}s",
            "statement_timeout": f"{limit:.0f}s",
            "idle_in_transaction_session_timeout": f"{limit:.0f}s",
        }
        return psycopg.connect(
            host=",".join(host for host, _port in self.target.hosts),
            port=",".join(str(port) for _host, port in self.target.hosts),
            dbname=self.target.database,
            user=self.target.user,
            password=self.password,
            autocommit=True,
            application_name="pigsty journal",
            client_encoding="UTF8",
            target_session_attrs="read-write",
            sslmode="verify-full",
            sslrootcert=self.ca,
            gssencmode="disable",
            passfile=NO_FILE,
            connect_timeout=int(DEADLINES["postgres.connect"]),
            # A member that has lost its power says nothing more, not even that it is gone.
            tcp_user_timeout=int(limit * 1000),
            keepalives_idle=int(limit / 3),
            keepalives_interval=int(limit / 3),
            keepalives_count=2,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )


class Table:
    """The table, in a session.

    Args:
        connection: to the database, in autocommit mode.
    """

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._db = connection

    def make(self) -> None:
        """Make schema and table, unless there is the table; what is there is never changed."""
        (there,) = self._one(SQL("SELECT to_regclass({})").format(Literal(f"{SCHEMA}.{TABLE}")))
        if there is not None:
            return
        with self._db.transaction():
            for statement in _creation():
                self._db.execute(statement)
            self._rights()

    def revision(self, journal: str) -> int:
        """Return the highest revision that is there of a journal; 0 for none."""
        query = SQL("SELECT coalesce(max(revision), 0) FROM {} WHERE journal = {}")
        (found,) = self._one(query.format(_NAME, Literal(journal)))
        return int(found)

    def write(self, journal: str, batch: Batch) -> None:
        """Write a batch, all of it or nothing; what is there already is replaced."""
        with self._db.transaction(), self._db.cursor() as cursor:
            if batch.gone:
                query = SQL("DELETE FROM {} WHERE id = %s AND queued = to_timestamp(%s)")
                cursor.executemany(query.format(_NAME), batch.gone)
            if batch.rows:
                cursor.executemany(_UPSERT, [_values(journal, row) for row in batch.rows])

    def _rights(self) -> None:
        """Let nobody write but the owner, whatever new tables' default privileges say."""
        given = self._db.execute(
            SQL(
                "SELECT DISTINCT r.rolname FROM pg_class c, aclexplode(c.relacl) a"
                " JOIN pg_roles r ON r.oid = a.grantee"
                " WHERE c.oid = {}::regclass AND a.grantee <> c.relowner ORDER BY 1"
            ).format(Literal(f"{SCHEMA}.{TABLE}"))
        ).fetchall()
        roles = [SQL("PUBLIC"), *(Identifier(name) for (name,) in given)]
        self._db.execute(SQL("REVOKE ALL ON {} FROM {}").format(_NAME, SQL(", ").join(roles)))
        known = self._db.execute(
            SQL("SELECT rolname FROM pg_roles WHERE rolname = ANY({}) ORDER BY 1").format(
                Literal(list(READERS))
            )
        ).fetchall()
        for (name,) in known:
            role, schema = Identifier(name), Identifier(SCHEMA)
            self._db.execute(SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
            self._db.execute(SQL("GRANT SELECT ON {} TO {}").format(_NAME, role))

    def _one(self, query: Composed) -> tuple[Any, ...]:
        row = self._db.execute(query).fetchone()
        return row if row is not None else (None,)


def _creation() -> Iterator[Composed]:
    yield SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(SCHEMA))
    columns = [
        SQL("{} {}").format(Identifier(name), SQL(kind)) for name, kind, _meaning in _COLUMNS
    ]
    yield SQL("CREATE TABLE {} ({}, PRIMARY KEY (queued, id))").format(
        _NAME, SQL(", ").join(columns)
    )
    yield SQL("CREATE INDEX ON {} (journal, revision)").format(_NAME)
    yield SQL("CREATE INDEX ON {} (subject, queued)").format(_NAME)
    yield SQL("COMMENT ON TABLE {} IS {}").format(_NAME, Literal(_MEANING))
    for name, _kind, meaning in _COLUMNS:
        column = SQL("{}.{}").format(_NAME, Identifier(name))
        yield SQL("COMMENT ON COLUMN {} IS {}").format(column, Literal(meaning))


def _upsert() -> Composed:
    holders = [
        SQL("to_timestamp({})").format(Placeholder(name)) if name in _TIMES else Placeholder(name)
        for name in _WRITTEN
    ]
    names = [Identifier(name) for name in _WRITTEN]
    news = [
        SQL("{} = excluded.{}").format(Identifier(name), Identifier(name))
        for name in _WRITTEN
        if name not in ("id", "queued")
    ]
    return SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (queued, id) DO UPDATE SET {}").format(
        _NAME, SQL(", ").join(names), SQL(", ").join(holders), SQL(", ").join(news)
    )


_UPSERT = _upsert()


def _values(journal: str, row: Row) -> dict[str, Any]:
    values = {item.name: getattr(row, item.name) for item in fields(row)}
    values |= {"causes": Jsonb(row.causes), "effect": Jsonb(row.effect)}
    return {**values, "journal": journal}
