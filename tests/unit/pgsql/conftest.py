"""A deployment with two PostgreSQL clusters, and the pillar of its members."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import pytest
import yaml

from pigsty import platform, topology
from pigsty.pillar import pgsql
from pigsty.pillar.site import Site

SITE = Site(key=b"k" * 32, ca="CA")
INVENTORY = {
    "all": {
        "vars": {"admin_ip": "10.1.1.10", "node_firewall_intranet": ["10.0.0.0/8"]},
        "children": {
            "infra": {"hosts": {"10.1.1.10": {"infra_seq": 1}}},
            "etcd": {
                "hosts": {"10.1.1.10": {"etcd_seq": 1}, "10.1.1.11": {"etcd_seq": 2}},
                "vars": {"etcd_cluster": "etcd"},
            },
            "pg-meta": {
                "hosts": {"10.1.1.10": {"pg_seq": 1, "pg_role": "primary"}},
                "vars": {"pg_cluster": "pg-meta"},
            },
            "pg-test": {
                "hosts": {
                    "10.1.1.11": {"pg_seq": 1, "pg_role": "primary"},
                    "10.1.1.12": {"pg_seq": 2, "pg_role": "replica"},
                    "10.1.1.13": {"pg_seq": 3, "pg_role": "replica", "pg_offline_query": True},
                    "10.1.1.14": {"pg_seq": 4, "pg_role": "offline", "pg_weight": 10},
                },
                "vars": {
                    "pg_cluster": "pg-test",
                    "pg_users": [
                        {"name": "app", "password": "App.Secret", "pgbouncer": True},
                        {"name": "batch", "password": "Batch.Secret"},
                    ],
                    "pg_databases": [{"name": "app"}, {"name": "hidden", "pgbouncer": False}],
                },
            },
        },
    }
}


@pytest.fixture
def deployment(tmp_path):
    """Return a function: variables of pg-test (and of one host) changed, gives the topology."""

    def build(host=None, **changes):
        inventory = copy.deepcopy(INVENTORY)
        group = inventory["all"]["children"]["pg-test"]
        (group["hosts"][host] if host else group["vars"]).update(changes)
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.yml"
        file.write_text(yaml.safe_dump(inventory))
        return topology.load(file)

    return build


@pytest.fixture
def pillar(deployment):
    """Return a function that gives the pillar of a member; variables as for ``deployment``."""

    def compile_one(ip="10.1.1.11", host=None, **changes):
        found = deployment(host, **changes)
        return pgsql.pillar(found, found.nodes[ip], SITE, platform.load())

    return compile_one


EXTMODS = Path(__file__).resolve().parents[3] / "extmods"


class Member:
    """A member in memory: files, units and a Patroni, under the state modules of this project."""

    def __init__(self, spec):
        self.pillar = {"pigsty": {"pgsql": spec}}
        self.opts = {"test": False}
        self.texts = {}
        self.units = {}
        self.acts = []
        self.stale = set()
        self.loaded = []
        self.live = None
        self.told = []
        self.salt = {
            "pigsty_file.changes": self._changes,
            "pigsty_file.converge": self._converge,
            "pigsty_file.read": self.texts.get,
            "pigsty_systemd.show": lambda unit: {unit: dict(self.units[unit])},
            "pigsty_systemd.plan": self.load("_modules", "pigsty_systemd").plan,
            "pigsty_systemd.enact": self._enact,
            "pigsty_systemd.act": lambda verb, *units: self.acts.append((verb, *units)),
            "pigsty_loaded.stale": lambda key, pid, paths: key in self.stale,
            "pigsty_loaded.mark": self._mark,
            "pigsty_patroni.live_role": lambda: self.live,
            "pigsty_work.tell": lambda phase, *_, **__: self.told.append(phase),
        }

    def load(self, kind, name):
        """Import a loader file with this member's dunders."""
        path = EXTMODS / kind / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"{kind}.{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.__pillar__, module.__opts__ = self.pillar, self.opts
        if hasattr(self, "salt"):
            module.__salt__ = self.salt
        return module

    def install(self, unit, active="inactive"):
        """Have a unit, enabled as Debian's packages leave it."""
        self.units[unit] = {
            "LoadState": "loaded",
            "ActiveState": active,
            "UnitFileState": "enabled",
            "MainPID": "1",
        }

    def _changes(self, files):
        return {
            file.path: {"diff": "differs"}
            for file in files
            if self.texts.get(file.path) != file.contents
        }

    def _converge(self, files):
        found = self._changes(files)
        self.texts.update({file.path: file.contents for file in files})
        return found

    def _enact(self, planned):
        for unit, change in planned.items():
            if "enabled" in change:
                self.units[unit]["UnitFileState"] = change["enabled"]["new"]
            if "active" in change:
                self.units[unit]["ActiveState"] = change["active"]["new"]
                self.acts.append((change["active"]["new"], unit))

    def _mark(self, key, paths):
        self.stale.discard(key)
        self.loaded.append(key)


@pytest.fixture
def member(pillar):
    """The declared primary of pg-test, a bare machine."""
    return Member(pillar("10.1.1.11"))
