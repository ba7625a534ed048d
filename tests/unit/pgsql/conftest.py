"""A deployment with two PostgreSQL clusters, and the pillar of its members."""

from __future__ import annotations

import copy

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
