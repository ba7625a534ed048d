"""The whole chain of events on loopback: an etcd, a Salt master with its engines and reactors."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import salt.config
import salt.utils.event
import yaml
from daemons import Daemon, EtcdCluster, free_ports, until

from pigsty import pki, react, topology, views
from pigsty.clients.etcd import Etcd
from pigsty.journal import Entry, Journal
from pigsty.pillar.etcd import watcher_password
from pigsty.pillar.site import Site
from pigsty.reactions.truth import Truth

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("salt_master.py")
#: Seconds until a master on two busy cores has its engines at work.
START = 180.0
INVENTORY = """
all:
  vars: {{ admin_ip: 127.0.0.1, pigsty_profile: sandbox }}
  children:
    infra: {{ hosts: {{ 127.0.0.9: {{ infra_seq: 1 }} }} }}
    etcd: {{ hosts: {{ 127.0.0.1: {{ etcd_seq: 1, etcd_port: {port} }} }} }}
"""
CLUSTER = """\
    {name}:
      vars: {{ pg_cluster: {name} }}
      hosts:
        127.1.{number}.1: {{ pg_seq: 1, pg_role: primary }}
        127.1.{number}.2: {{ pg_seq: 2, pg_role: replica }}
"""


class Chain:
    """An admin node whose minions are all away; clusters are keys that a test writes into etcd.

    So a reaction comes to its end without states: who ought to follow "will follow when connected".

    Args:
        folder: where everything is.
        clusters: their names.
    """

    def __init__(self, folder: Path, clusters: tuple[str, ...] = ("a", "b")) -> None:
        self.folder, self.clusters = folder, clusters
        key, ca = pki.create_ca("test-ca", 2)
        (folder / "pki").mkdir()
        (folder / "pki/ca.key").write_bytes(key)
        (folder / "pki/ca.crt").write_bytes(ca)
        (folder / "secret.key").write_text("5a" * 32)
        site = Site.read(folder / "secret.key", folder / "pki/ca.crt")
        (folder / "etcd").mkdir()
        self.etcd = EtcdCluster(folder / "etcd", ca=(key, ca), password=watcher_password(site))
        text = INVENTORY.format(port=self.etcd.ports[0])
        for number, name in enumerate(clusters):
            text += CLUSTER.format(name=name, number=number)
        (folder / "pigsty.yml").write_text(text)
        self._configure()
        command = [sys.executable, str(PROGRAM), str(folder)]
        self.master = Daemon(command, folder / "master.out")
        self.options: Any = salt.config.client_config(str(folder / "master"))

    def _configure(self) -> None:
        """Write the master's configuration: the project's, with the paths and ports of a test."""
        shipped = (ROOT / "salt/master.d/pigsty.conf").read_text("utf-8")
        options = yaml.safe_load(shipped.replace("/opt/pigsty/src", str(ROOT)))
        publish, ret = free_ports(2)
        paths = {
            "inventory": str(self.folder / "pigsty.yml"),
            "key": str(self.folder / "secret.key"),
            "pki": str(self.folder / "pki"),
        }
        options |= {
            "interface": "127.0.0.1",
            "publish_port": publish,
            "ret_port": ret,
            "root_dir": str(self.folder),
            "pki_dir": "/salt/pki",
            "cachedir": "/salt/cache",
            "sock_dir": "/salt/run",
            "pidfile": "/salt/master.pid",
            "log_file": "/salt/log",
            "log_level_logfile": "warning",
            "engines": [{"pigsty_dcs": paths}, {"pigsty_worker": paths}],
            "worker_threads": 3,
        }
        (self.folder / "salt").mkdir()
        (self.folder / "master").write_text(yaml.safe_dump(options))

    def start(self) -> Etcd:
        """Start everything; return who writes to etcd as Patroni does. Number 1 leads each."""
        self.etcd.start()
        root = self.etcd.root()
        for name in self.clusters:
            for number in (1, 2):
                member = f"/pg/{name}/members/{name}-{number}"
                self.etcd.put(root, member, '{"state": "running", "role": "replica"}')
            self.etcd.put(root, f"/pg/{name}/leader", f"{name}-1")
        self._deal_with_everything()
        self.master.start()
        until("a change is followed", lambda: self._probe(root), START)
        return root

    def _probe(self, root: Etcd) -> bool:
        """Whether every part of the chain works, by a change of the last cluster's leader.

        Those that come before the reactor listens are lost on the bus.
        """
        name = self.clusters[-1]
        for leader in (f"{name}-2", f"{name}-1"):
            self.etcd.put(root, f"/pg/{name}/leader", leader)
        time.sleep(1)
        return any(entry.hint.subject == name for entry in self.entries()) and self.idle()

    def _deal_with_everything(self) -> None:
        """Write down that everything was dealt with that is true now, as after a deployment."""
        found = topology.load(self.folder / "pigsty.yml")
        snapshot = self.etcd.store().read("/pg/")
        truth = Truth(found, views.read("/pg/", snapshot.pairs), frozenset())
        with closing(Journal(self.folder / "journal.db")) as journal:
            for kind in ("pgsql.leader", "pgsql.member"):
                for name in self.clusters:
                    fact = react.decide(kind, name, truth, None).fact
                    assert fact is not None, f"{kind} of {name}"
                    journal.settle(kind, name, fact, time.time())

    def stop(self) -> None:
        """End everything."""
        self.stop_master()
        self.etcd.stop()

    def stop_master(self) -> None:
        """End the master with all of its processes, as systemd does."""
        self.master.stop(signal.SIGTERM)

    def idle(self) -> bool:
        """Whether nothing waits or runs."""
        with closing(Journal(self.folder / "journal.db")) as journal:
            return not journal.open()

    def followed(self, cluster: str, leader: str) -> bool:
        """Whether this leader was dealt with last."""
        with closing(Journal(self.folder / "journal.db")) as journal:
            return journal.settled("pgsql.leader", cluster) == leader

    def entries(self) -> list[Entry]:
        """Return all lines of the journal."""
        with closing(Journal(self.folder / "journal.db")) as journal:
            return journal.entries(limit=1_000_000)

    def bus(self) -> Any:
        """Return the master's event bus, to be closed by who asked."""
        return salt.utils.event.get_master_event(
            self.options, self.options["sock_dir"], listen=True
        )

    def engine(self, name: str) -> int | None:
        """Return the process that an engine runs in, None while there is none."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if str(self.folder) in words and f"engines.{name})" in words:
                return int(path.parent.name)
        return None

    def restart_master(self) -> None:
        """Start a master that was stopped."""
        self.master.start()
        until("its engines run", lambda: self.engine("pigsty_worker"), START)
