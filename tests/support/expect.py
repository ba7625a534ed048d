"""What the scenarios are made of: deadlines in one table, a client that writes, a cluster."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg

#: Every promise of the sandbox scenarios, in seconds. Sources: the RTO presets of Pigsty (`norm`
#: promises 45 s for a dead node) and what Patroni and HAProxy need by their own settings.
DEADLINES: dict[str, float] = {
    # A dead primary under preset `norm`: the acknowledged write before to the first one after.
    "norm failover": 45,
    # Boot, pg_rewind or a fresh base backup, streaming again.
    "old primary is a replica again": 120,
    # Patroni's switchover plus HAProxy's rise of three checks.
    "switchover": 30,
    # Patroni stops one PostgreSQL and promotes another, and HAProxy follows at once.
    "planned switchover": 2,
    # PostgreSQL of the leader stops and starts; PgBouncer holds its clients, or HAProxy drops them.
    "restart in turn": 10,
    # HAProxy marks servers after `rise` checks of its `inter`.
    "services settle": 30,
    # A cut-off primary has to give up within ttl (30 s in `norm`).
    "cut-off primary demotes": 40,
    # An apply that a person began before the tests.
    "another apply ends": 300,
    # A new leader waits 5 s for a silent archive, on top of a switchover.
    "switchover with a silent archive": 15,
    # A child process between fork and exec: milliseconds, unless the machine is starved.
    "a port is free again": 10,
    # pgBackRest's own limit for a segment that was switched.
    "WAL is archived": 60,
    # Nobody is sent to a member that goes; a client whose entry goes connects to another one.
    "a member comes or goes": 5,
    # A target file is seen within 5 s, and looked at within 10 more; one that failed comes again,
    # and what a daemon that was just started lacks comes a scrape later.
    "a target is looked at": 90,
    # What the master knows goes into a file, is scraped, is evaluated: up to 10 s each, and a turn
    # that is lost on a busy machine.
    "an alert is on its way": 90,
    # A scrape that fails, an evaluation, and a minute of patience; the issue promises 90 s.
    "a power cut is told of": 90,
    # Alertmanager waits a second for others of the same group.
    "an alert goes out": 15,
    # A minute without a sample, two evaluations.
    "a full disk is told of": 120,
    # Boot, a scrape, an evaluation; the replica streams, and the primary's exporter says so.
    "alerts clear": 90,
    # States of some seconds on every member, and one that is busy with others is tried again.
    "a change of the leader is followed": 45,
    # The journal is looked at once a second, and a session is 5 s after the one before.
    "a line is in the database": 15,
    # An edit is seen before that.
    "an edit is in the database": 25,
    # The file comes to rest, is validated, and compared with what hosts were applied with.
    "an edit is seen": 10,
    # The same, and states of a second or two on the members. On an idle sandbox it takes 5 s.
    "an edit is applied by itself": 20,
    # The master starts, its minions connect again, and the first reconcile looks around.
    "a master that was down has caught up": 120,
    # The longest run of reactions that a scenario leaves behind.
    "reactions end": 120,
    # A bare node installs its packages and copies the data: 60 s by itself, and the machine that
    # runs these tests does everything for four nodes on two cores.
    "a bare node joins": 150,
    # A minion that booted reaches its master.
    "minion answers": 60,
    # rsyslog waits a second for the end of an entry; the issue promises 10 s.
    "a log line is found": 10,
    # A node sends a new infra node its whole journal, oldest first, with half a core at most.
    "a journal is caught up": 120,
    # An upload that was refused begins again after 3 s.
    "logs of a gap arrive": 20,
    # A reaction of one state on the infra node, behind those of the cluster's members.
    "a name follows the leader": 45,
    # vip-manager asks once a second, starts anew after one, and tries again what failed every ten.
    "address moves": 30,
}

T = TypeVar("T")


def eventually(what: str, look: Callable[[], T], deadline: str) -> T:
    """Return the first truthy value of ``look`` before the named deadline, or fail.

    An exception of psycopg or of a refused connection counts as "not yet".
    """
    seconds = DEADLINES[deadline]
    end = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            value = look()
            if value:
                return value
            last = value
        except (psycopg.Error, OSError, AssertionError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds:.0f} s; last: {last!r}")
        time.sleep(0.25)


@dataclass
class Dsn:
    """Where and as whom a client connects; ``host`` may list several, apart by commas."""

    host: str
    port: int
    dbname: str
    user: str
    password: str = field(repr=False)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """Open an autocommit connection without prepared statements, for poolers."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=self.dbname,
            user=self.user,
            password=self.password,
            connect_timeout=2,
            autocommit=True,
            prepare_threshold=None,
            **options,
        )

    def ask(self, query: str, *parameters: object) -> Any:
        """Return the first column of the first row of a query."""
        with self.connect() as connection:
            row = connection.execute(query, parameters or None).fetchone()
        return row[0] if row else None


class Writer:
    """A client that inserts rows through a service port, one after the other, until it is stopped.

    A row counts as acknowledged when the server confirmed its commit. After an error the client
    connects again, as an application would.
    """

    TABLE = "ledger"

    def __init__(self, dsn: Dsn) -> None:
        self._dsn = dsn
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self.acknowledged: list[int] = []
        self._times: list[float] = []
        self.errors: list[str] = []

    def __enter__(self) -> Writer:
        # A pool that met a server going down says so once more to whoever comes next.
        eventually("the writer has its table", self._prepare, "services settle")
        self._thread.start()
        self.wait_for_rows(20)
        return self

    def _prepare(self) -> bool:
        with self._dsn.connect() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {self.TABLE}")
            connection.execute(f"CREATE TABLE {self.TABLE} (id bigint PRIMARY KEY)")
        return True

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _write(self) -> None:
        number = 0
        connection: psycopg.Connection[Any] | None = None
        while not self._stop.is_set():
            number += 1
            try:
                if connection is None or connection.closed:
                    # A dead server must not hold the client: TCP gives up after 3 s.
                    connection = self._dsn.connect(tcp_user_timeout=3000)
                connection.execute(f"INSERT INTO {self.TABLE} VALUES (%s)", (number,))
            except psycopg.Error as error:
                self.errors.append(str(error).splitlines()[0] if str(error) else repr(error))
                if connection is not None:
                    connection.close()
                    connection = None
                self._stop.wait(0.1)
                continue
            self.acknowledged.append(number)
            self._times.append(time.monotonic())
            self._stop.wait(0.02)
        if connection is not None:
            connection.close()

    def wait_for_rows(self, more: int, deadline: str = "services settle") -> None:
        """Wait until ``more`` rows were acknowledged from now on."""
        goal = len(self.acknowledged) + more
        eventually(f"{more} more rows", lambda: len(self.acknowledged) >= goal, deadline)

    def longest_stall(self) -> float:
        """Return the longest time without an acknowledged write so far, in seconds."""
        times = list(self._times)
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)

    def missing(self) -> set[int]:
        """Return the acknowledged rows that the database doesn't have."""
        # Those that are acknowledged from now on may come after the look.
        acknowledged = set(self.acknowledged)
        with self._dsn.connect() as connection:
            rows = connection.execute(f"SELECT id FROM {self.TABLE}").fetchall()
        return acknowledged - {row[0] for row in rows}


@dataclass
class Cluster:
    """A PostgreSQL cluster as `pigsty pgsql list` shows it, asked on the admin node."""

    name: str
    admin: Any

    def members(self) -> list[dict[str, Any]]:
        """Return one dictionary a member: member, host, declared, role, state, timeline, lag …"""
        code, out, err = self.admin.run(["pigsty", "pgsql", "list", self.name, "-o", "json"])
        assert code == 0, err
        members: list[dict[str, Any]] = json.loads(out)
        return members

    def leader(self) -> dict[str, Any]:
        """Return the live leader; fail if there is none."""
        found = [m for m in self.members() if m["role"] == "primary"]
        assert len(found) == 1, f"{self.name} has {len(found)} leaders: {found}"
        return found[0]

    def healthy(self, size: int) -> bool:
        """Whether one member leads and all others stream."""
        members = self.members()
        return (
            len(members) == size
            and sum(m["role"] == "primary" for m in members) == 1
            and all(m["state"] in ("running", "streaming") for m in members)
            and all(m["state"] == "streaming" for m in members if m["role"] != "primary")
        )
