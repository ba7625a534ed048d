"""A real PostgreSQL server of this host's packages, in a folder of its own, for the tests here."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from pigsty import catalogue
from pigsty.pillar.site import Site
from pigsty.scope import Scope
from pigsty.sql import baseline, converge, desired, wanted
from pigsty.sql.session import Server

ROOT = os.geteuid() == 0
#: The day on which runs take place, unless a test says another.
TODAY = date(2026, 1, 1)
DBSU = "postgres" if ROOT else getpass.getuser()


def binaries() -> Path:
    """Folder of the newest server on this host."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    if not found:
        pytest.skip("no PostgreSQL server on this host (package postgresql)")
    return found[-1].parent


def as_dbsu(*command, **options):
    """Run a command as the superuser's operating system user."""
    user = pwd.getpwnam(DBSU)
    if ROOT:
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, cwd="/", **options
    )


@dataclass
class Instance:
    """A running server."""

    bin: Path
    data: Path
    server: Server

    @property
    def log(self) -> str:
        return (self.data / "log.txt").read_text(errors="replace")

    def start(self) -> None:
        as_dbsu(
            self.bin / "pg_ctl", "-D", self.data, "-l", self.data / "log.txt", "-w", "-t", "60",
            "start",
        )  # fmt: skip

    def stop(self) -> None:
        as_dbsu(self.bin / "pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def query(self, query: str, *values, database: str = "postgres"):
        """Rows of a query, as the superuser."""
        with self.server.impersonated(), closing(self.server.connect(database)) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []


def _folder() -> Path:
    # Not pytest's tmp_path: that one is closed to other users, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pgsql-"))
    user = pwd.getpwnam(DBSU)
    if ROOT:
        os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(0o755)
    return folder


def _port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def pristine():
    """A data directory fresh from initdb, to be copied: initdb takes seconds, a copy does not."""
    bin = binaries()
    folder = _folder()
    data = folder / "data"
    as_dbsu(bin / "initdb", "-D", data, "-U", DBSU, "-E", "UTF8", "--locale=C.UTF-8", "-N")
    (data / "postgresql.conf").write_text(
        "\n".join(
            [
                "listen_addresses = '127.0.0.1'",
                f"unix_socket_directories = '{folder}'",
                "fsync = off",
                "max_connections = 50",
                "shared_preload_libraries = 'pg_stat_statements'",
                # Everything that could write a verifier into a log does its worst here.
                "log_statement = 'all'",
                "log_min_duration_statement = 0",
                "log_min_error_statement = 'debug5'",
                "log_duration = on",
            ]
        )
    )
    (data / "pg_hba.conf").write_text(
        "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\nlocal replication all peer\n"
    )
    yield bin, folder, data
    shutil.rmtree(folder)


def _instance(bin: Path, folder: Path, source: Path):
    data = folder / "data"
    if not data.exists():
        as_dbsu("cp", "-a", source, data)
    port = _port()
    config = data / "postgresql.auto.conf"
    as_dbsu(
        "tee", "-a", config, input=f"unix_socket_directories='{folder}'\nport={port}\n".encode()
    )
    return Instance(bin, data, Server(socket=str(folder), port=port, dbsu=DBSU))


@pytest.fixture
def instance(pristine):
    """A server of its own for one test."""
    bin, _, source = pristine
    folder = _folder()
    found = _instance(bin, folder, source)
    found.start()
    yield found
    found.stop()
    shutil.rmtree(folder)


@dataclass(frozen=True)
class SmallDisk:
    """A file system that the server may write to, too small for a database at first."""

    folder: Path

    def grow(self) -> None:
        """Make room for some databases."""
        command = ["mount", "-o", "remount,size=256m", self.folder]
        subprocess.run(command, check=True)

    def used(self) -> float:
        """Return how much of it is in use, in MiB."""
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize / 2**20


@pytest.fixture
def small_disk():
    """A disk of 2 MiB for a tablespace."""
    if not ROOT:
        pytest.skip("only root can mount a small disk")
    folder = _folder()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    user = pwd.getpwnam(DBSU)
    os.chown(folder, user.pw_uid, user.pw_gid)
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


@pytest.fixture
def standby(instance):
    """A server that follows ``instance``."""
    folder = _folder()
    as_dbsu(
        instance.bin / "pg_basebackup", "-h", instance.server.socket, "-p", instance.server.port,
        "-D", folder / "data", "-R", "-c", "fast",
    )  # fmt: skip
    found = _instance(instance.bin, folder, folder / "data")
    found.start()
    yield found
    found.stop()
    shutil.rmtree(folder)


@pytest.fixture
def pillar():
    """A function: parameters of an inventory to the objects of the pillar."""
    return _pillar


def _pillar(**declared):
    defaults = {name: parameter.default for name, parameter in catalogue.load().items()}
    values = {**defaults, "pg_dbsu": DBSU, **declared}
    node = SimpleNamespace(ip="10.0.0.1", vars=values, declared=frozenset(declared))
    member = SimpleNamespace(cluster="pg-it", node=node, vars=values)
    cluster = SimpleNamespace(primary=member, members=(member,), vars=values)
    topology = SimpleNamespace(
        pg_clusters={"pg-it": cluster}, pg_instances={"10.0.0.1": member}, nodes={}
    )
    return desired.pillar(topology, node, Site(key=b"k" * 32, ca=""))


@pytest.fixture
def inventory():
    """Parameters of a small cluster, to be edited by a test."""
    return {
        "pg_default_extensions": [{"name": "pg_stat_statements", "schema": "monitor"}],
        "pg_users": [
            {"name": "app", "password": "App.Secret", "roles": ["dbrole_readwrite"]},
            {"name": "owner", "password": "Owner.Secret", "roles": ["dbrole_admin"]},
        ],
        "pg_databases": [{"name": "shop", "owner": "owner", "comment": "the shop"}],
    }


@pytest.fixture
def run(instance, inventory, pillar):
    """Converge the instance to the inventory as it is at that moment."""

    def _run(*, test=False, today=TODAY, files=None, only=None):
        def fill(server, database, file):
            baseline.run(server, database, files / file, str(instance.bin / "psql"))

        declared = wanted.load(pillar(**inventory))
        return converge.converge(
            declared, instance.server, fill, test=test, today=today, scope=Scope.of(only)
        )

    return _run


@pytest.fixture
def settle(run):
    """A run that must succeed, after which another finds nothing to do; returns its changes."""

    def _settle(**options):
        looked = run(test=True, **options)
        done = run(**options)
        assert done.failures == {}
        assert looked.changes == done.changes, "test mode tells other changes than a real run"
        assert looked.failures == {}
        # What was made anew is not made anew again.
        only = {kind: of for kind, of in (options.pop("only", None) or {}).items()
                if kind != "recreate"}  # fmt: skip
        again = run(only=only, **options)
        assert (again.changes, again.failures) == ({}, {})
        return done.changes

    return _settle
