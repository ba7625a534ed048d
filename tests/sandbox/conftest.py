"""The sandbox as a fixture: brought up and converged once, shared by every scenario.

With PIGSTY_TEST_STRICT=1 (as the CI sets it) it starts from empty disks, so that the first apply
on bare nodes is part of what is tested; otherwise a running sandbox is used as it is.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from edit import Inventory
from expect import Cluster, Dsn, eventually

from pigsty import topology
from pigsty_cli.exitcodes import REFUSED
from pigsty_cli.sandbox.lifecycle import Sandbox
from pigsty_cli.sandbox.progress import Progress

REPOSITORY = Path(__file__).resolve().parents[2]
INVENTORY = REPOSITORY / "pillar/inventory/sandbox.yml"


@dataclass(frozen=True)
class Machine:
    """One node of the sandbox, as the scenarios use it."""

    host: str
    sandbox: Sandbox

    def run(
        self, command: Sequence[str], *, stdin: str | None = None, timeout: float = 600
    ) -> tuple[int, str, str]:
        """Run a command in the node; return its exit code, output and errors."""
        done = self.sandbox.node(self.host).run(
            list(command), check=False, stdin=stdin, timeout=timeout
        )
        return done.returncode, done.stdout, done.stderr

    def pigsty(self, *words: str) -> Any:
        """Run a `pigsty` command that must succeed; return what its ``-o json`` says."""
        code, out, err = self.run(["pigsty", *words, "-o", "json"], timeout=1200)
        assert code == 0, out + err
        return json.loads(out)

    def quiet(self) -> bool:
        """Whether no reaction to an event waits or runs (on the admin node)."""
        lines = self.pigsty("events", "--since", "1h")
        return all(line["state"] not in ("queued", "running") for line in lines)

    def reaches(self, host: str) -> bool:
        """Whether the minion of a host answers the master (on the admin node)."""
        return "True" in self.run(["salt", host, "test.ping"])[1]

    def kill(self) -> None:
        """Cut the node's power."""
        self.sandbox.kill(self.host)

    def start(self) -> None:
        """Switch it on again."""
        self.sandbox.start([self.host])

    def partition(self, others: Sequence[str] = ()) -> None:
        """Cut it off from other nodes, or from everything."""
        self.sandbox.partition(self.host, others)

    def heal(self) -> None:
        """Undo its partitions."""
        self.sandbox.heal(self.host)


@dataclass(frozen=True)
class Nodes:
    """All nodes of the sandbox."""

    sandbox: Sandbox

    @property
    def hosts(self) -> tuple[str, ...]:
        """Their addresses."""
        spec = self.sandbox.spec
        assert spec is not None
        return tuple(node.host for node in spec.nodes)

    def node(self, host: str) -> Machine:
        """One of them."""
        return Machine(host, self.sandbox)


_figures: list[str] = []


@pytest.fixture(scope="session")
def report() -> Callable[[str, float, str], None]:
    """Note a measured figure; all are printed at the end of the run."""

    def note(what: str, value: float, unit: str) -> None:
        _figures.append(f"{what}: {value:.1f} {unit}")

    return note


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell of a failure at once: the run goes on, and its machines change."""
    if report.failed:
        print(f"\n{report.nodeid} ({report.when}) failed:\n{report.longreprtext}", flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the measured figures."""
    if _figures:
        terminalreporter.section("measured")
        for line in _figures:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def sandbox(report: Callable[[str, float, str], None]) -> Iterator[Nodes]:
    """The four nodes, up and converged by one apply on all of them at once."""
    machine = Sandbox(progress=Progress())
    # Two runs of these tests on one sandbox would each take the other's faults for its own.
    machine.paths.state.mkdir(parents=True, exist_ok=True)
    lock = (machine.paths.state / "tests.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pytest.fail("another run of these tests uses the sandbox: wait for its end")
    if os.environ.get("PIGSTY_TEST_STRICT") == "1":
        machine.destroy()
    started = time.monotonic()
    machine.up(INVENTORY)
    report("sandbox up, minions answering", time.monotonic() - started, "s")
    nodes = Nodes(machine)
    started = time.monotonic()
    code, out, err = _apply(nodes.node("10.10.10.10"))
    assert code == 0, f"the first apply failed:\n{out}\n{err}"
    report("first apply", time.monotonic() - started, "s")
    yield nodes
    machine.heal()
    lock.close()


def _apply(admin: Machine) -> tuple[int, str, str]:
    """Apply everything; one that somebody else began comes to its end first."""
    done: list[tuple[int, str, str]] = []

    def ran() -> bool:
        done.append(admin.run(["pigsty", "apply", "--yes"], timeout=1200))
        return done[-1][0] != REFUSED

    eventually("no other apply runs", ran, "another apply ends")
    return done[-1]


@pytest.fixture(scope="session")
def admin(sandbox: Nodes) -> Machine:
    """The admin node."""
    return sandbox.node("10.10.10.10")


@pytest.fixture
def whole(admin: Machine, pg_test: Cluster) -> Iterator[Cluster]:
    """The cluster of three, whole before and after the test, with no restart left to be done."""
    eventually("pg-test is whole", lambda: pg_test.healthy(3), "old primary is a replica again")
    yield pg_test
    eventually("pg-test is whole", lambda: pg_test.healthy(3), "old primary is a replica again")
    if any(member["pending_restart"] for member in pg_test.members()):
        admin.pigsty("pgsql", "restart", pg_test.name, "--pending", "--yes")


@pytest.fixture
def turned(admin: Machine, whole: Cluster) -> Cluster:
    """The cluster of three after a switchover: the declared primary doesn't lead it."""
    if whole.leader()["declared"] == "primary":
        admin.pigsty("pgsql", "switchover", whole.name, "--yes")
    return whole


@pytest.fixture
def entry(test_dsn: Dsn) -> Dsn:
    """Service `primary` of pg-test by whichever member answers."""
    hosts = ",".join(f"10.10.10.{number}" for number in (11, 12, 13))
    return Dsn(hosts, 5433, test_dsn.dbname, test_dsn.user, test_dsn.password)


@pytest.fixture
def inventory(admin: Machine) -> Iterator[Inventory]:
    """The inventory, to be edited; it is put back, and applied again where it was applied."""
    found = Inventory(admin)
    yield found
    found.restore()


@pytest.fixture(scope="session")
def pg_test(admin: Machine) -> Cluster:
    """The cluster of three."""
    return Cluster("pg-test", admin)


@pytest.fixture(scope="session")
def pg_meta(admin: Machine) -> Cluster:
    """The cluster of one."""
    return Cluster("pg-meta", admin)


def _dsn(cluster: str, user: str, database: str) -> Dsn:
    declared = topology.load(INVENTORY).pg_clusters[cluster]
    password = next(u["password"] for u in declared.vars["pg_users"] if u["name"] == user)
    return Dsn(declared.members[0].ip, 5433, database, user, password)


@pytest.fixture(scope="session")
def test_dsn(sandbox: Nodes) -> Dsn:
    """Where the owner of the database `test` writes: service `primary` of pg-test."""
    return _dsn("pg-test", "test", "test")


@pytest.fixture(scope="session")
def meta_dsn(sandbox: Nodes) -> Dsn:
    """Where the owner of the database `meta` writes: service `primary` of pg-meta."""
    return _dsn("pg-meta", "dbuser_meta", "meta")
