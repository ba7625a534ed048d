"""Connections to the local server: as its superuser, by peer authentication on the socket."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError

#: Where the server listens when ``pg_localhost`` is an address.
SOCKET = "/var/run/postgresql"
#: A password file that isn't there: peer authentication needs none, and the caller's is not ours.
NO_FILE = "/nonexistent/pgpass"


class Unreachable(ClientError):
    """The local server does not answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the local server listens.

    Attributes:
        socket: directory of its unix socket.
        port: its port.
        dbsu: the superuser, in PostgreSQL and in the operating system.
        sharded: it belongs to a Citus cluster.
    """

    socket: str = SOCKET
    port: int = 5432
    dbsu: str = "postgres"
    sharded: bool = False

    @classmethod
    def of_params(cls, params: Mapping[str, Any]) -> Server:
        """Return a member's own server, by ``params`` of its ``pigsty:pgsql`` pillar."""
        socket = str(params["pg_localhost"])
        return cls(
            socket=socket if socket.startswith("/") else SOCKET,
            port=int(params["pg_port"]),
            dbsu=str(params["pg_dbsu"]),
            sharded=params.get("pg_mode") == "citus",
        )

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """Open a session in autocommit mode; call it within :meth:`impersonated`.

        Its settings don't depend on what roles and databases have set: times are in UTC, and names
        without a schema are looked up in ``public``.

        Raises:
            Unreachable: the server doesn't accept the connection in time.
        """
        settings = {
            "TimeZone": "UTC",
            "DateStyle": "ISO",
            "search_path": "public",
            "role": "none",
            "client_min_messages": "warning",
            "default_transaction_read_only": "off",
            "default_transaction_isolation": "read\\ committed",
            "jit": "off",
            "lock_timeout": f"{DEADLINES['sql.lock']:.0f}s",
            "statement_timeout": f"{DEADLINES['sql.statement']:.0f}s",
            "idle_in_transaction_session_timeout": f"{DEADLINES['sql.statement']:.0f}s",
        }
        if self.sharded:
            # Every group is made what the inventory says by itself. Citus would carry the
            # coordinator's changes to the others, and refuse theirs.
            settings["citus.enable_ddl_propagation"] = "off"
        try:
            return psycopg.connect(
                host=self.socket,
                port=self.port,
                user=self.dbsu,
                dbname=database,
                autocommit=True,
                application_name="pigsty",
                client_encoding="UTF8",
                gssencmode="disable",
                passfile=NO_FILE,
                connect_timeout=int(DEADLINES["postgres.connect"]),
                options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            )
        except psycopg.OperationalError as error:
            raise Unreachable(
                f"PostgreSQL at {self.socket}:{self.port} doesn't accept {self.dbsu} "
                f"to {database}: {text(error)}"
            ) from None

    @contextmanager
    def impersonated(self) -> Iterator[None]:
        """Be the superuser's operating system user, as the socket's other end sees it.

        The kernel hands the server the effective user of the process that connects, so root has to
        take the other's name for as long as it opens connections. It affects the whole process.

        Raises:
            Unreachable: this system has no such user.
        """
        try:
            user = pwd.getpwnam(self.dbsu)
        except KeyError:
            raise Unreachable(f"this system has no user {self.dbsu}") from None
        if os.geteuid() != 0:
            yield
            return
        group = os.getegid()
        os.setegid(user.pw_gid)
        os.seteuid(user.pw_uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(group)


def text(error: psycopg.Error) -> str:
    """Return what the server said, without the statement's text, which could hold a verifier."""
    said = error.diag.message_primary
    if not said:
        return " ".join(str(error).split()) or type(error).__name__
    detail = error.diag.message_detail
    return f"{said} ({detail})" if detail else said
