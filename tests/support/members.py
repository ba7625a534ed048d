"""A PostgreSQL cluster on loopback: real Patronis with the configuration that a deployment writes.

Patroni is the one that nodes get, unpacked from Debian's package; PostgreSQL is this host's. What
differs from a node is where files are, that initdb waits for no disk, and that members have
addresses of the loopback.
"""

from __future__ import annotations

import copy
import getpass
import os
import pwd
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import debian
import yaml
from daemons import Daemon, certificates, until

from pigsty import pki, platform, topology
from pigsty.clients.patroni_actions import Actions
from pigsty.pillar import pgsql
from pigsty.pillar.site import Site
from pigsty.render import patroni
from pigsty.render.tuning import GIB, Machine
from pigsty.topology import Topology

ROOT = os.geteuid() == 0
DBSU = "postgres" if ROOT else getpass.getuser()
MACHINE = Machine(1, 1024, 20 * GIB)
#: Seconds in which a member comes to its end on two busy cores.
STOP = 120.0
#: Who may connect: the superuser by its socket, everybody else by password. Patroni asks its own
#: server for the timeline as the user that replicates, by the socket too.
HBA = """\
local all all peer
local replication all scram-sha-256
host all all 127.0.0.0/8 scram-sha-256
host replication all 127.0.0.0/8 scram-sha-256
"""


class Members:
    """The members of one cluster, each in a folder of its own.

    Args:
        folder: an empty one that the superuser may enter; its path has to be short.
        inventory: the deployment, as ``pigsty.yml`` says it.
        cluster: the cluster's name.
    """

    def __init__(self, folder: Path, inventory: Mapping[str, Any], cluster: str) -> None:
        self.folder, self.cluster = folder, cluster
        self.inventory = folder / "pigsty.yml"
        self.inventory.write_text(yaml.safe_dump(dict(inventory)))
        self._authority = pki.create_ca("members-ca", 2)
        (folder / "pki").mkdir()
        (folder / "pki/ca.crt").write_bytes(self._authority[1])
        (folder / "secret.key").write_text("5a" * 32)
        for secret in (self.inventory, folder / "secret.key"):
            secret.chmod(0o600)
        self.site = Site.read(folder / "secret.key", folder / "pki/ca.crt")
        self.daemons: dict[str, Daemon] = {}
        for member in self.topology.pg_clusters[cluster].members:
            config = self._prepare(member.ip, member.name)
            self.daemons[member.name] = Daemon(_command(config), folder / f"{member.name}.log")

    @property
    def topology(self) -> Topology:
        """The deployment as the inventory says it now."""
        return topology.load(self.inventory)

    def spec(self, ip: str) -> dict[str, Any]:
        """Return the pillar of a member, with the places of a test."""
        found = self.topology
        made = pgsql.pillar(found, found.nodes[ip], self.site, platform.load())
        spec, own = copy.deepcopy(made), self.folder / ip
        spec["certificates"] = str(own)
        spec["params"] |= {
            "pg_bin_dir": str(programs()),
            "pg_data": str(own / "data"),
            "pg_dbsu": DBSU,
            "pg_localhost": str(own),
            "patroni_log_dir": str(own),
            "pg_log_dir": str(own),
        }
        spec["patroni"] |= {"hba_file": str(own / "hba.conf"), "pgpass": str(own / "pgpass")}
        return spec

    def config(self, ip: str) -> Path:
        """Return the file of a member's Patroni."""
        return self.folder / ip / "patroni.yml"

    def client(self, name: str, seconds: float = 30.0) -> Actions:
        """Return a client of a member's REST API that may change something."""
        found = self.topology.pg_clusters[self.cluster]
        (member,) = (member for member in found.members if member.name == name)
        return Actions(
            member.ip,
            int(member.vars["patroni_port"]),
            ca=str(self.folder / "pki/ca.crt"),
            username=str(member.vars["patroni_username"]),
            password=pgsql.patroni_password(found, self.site),
            timeout=seconds,
        )

    def stop(self) -> None:
        """End all, and their PostgreSQLs with them."""
        for daemon in self.daemons.values():
            daemon.tell(signal.SIGTERM)
        for daemon in self.daemons.values():
            daemon.wait(STOP)

    def kill(self) -> None:
        """Leave nothing behind, also of one that hangs."""
        for daemon in self.daemons.values():
            daemon.stop()
        for file in self.folder.glob("*/data/postmaster.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text().split("\n")[0]), signal.SIGQUIT)
        left = self.folder.glob
        until("PostgreSQL has ended", lambda: not list(left("*/data/postmaster.pid")), STOP)

    def _prepare(self, ip: str, name: str) -> Path:
        own = self.folder / ip
        own.mkdir(mode=0o700)
        certificates(own, self._authority, (ip, "127.0.0.1"))
        (own / "hba.conf").write_text(HBA)
        spec = self.spec(ip)
        assert spec["instance"] == name
        file = self.config(ip)
        config = patroni.build(spec, MACHINE, watchdog=False)
        if "bootstrap" in config:
            config["bootstrap"]["initdb"].append("no-sync")
        file.write_text(patroni.text(config))
        user = pwd.getpwnam(DBSU)
        for path in (own, *own.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
            path.chmod(0o700 if path.is_dir() else 0o600)
        return file


def programs() -> Path:
    """Return the folder of the newest server on this host."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    assert found, "no PostgreSQL server on this host (package postgresql)"
    return found[-1].parent


def _command(config: Path) -> list[str]:
    packages = debian.unpacked("trixie", "patroni", "python3-consul")
    words = ["env", f"PYTHONPATH={packages / 'usr/lib/python3/dist-packages'}",
             sys.executable, "-m", "patroni", str(config)]  # fmt: skip
    if not ROOT:
        return words
    # PostgreSQL won't run as root, and another user may not enter root's folders: this one may.
    return ["setpriv", f"--reuid={DBSU}", f"--regid={DBSU}", "--init-groups",
            "--inh-caps=+dac_override", "--ambient-caps=+dac_override", *words]  # fmt: skip
