"""A cluster of three to be grown and shrunk: its inventory, its keys in etcd, its records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pigsty import dcs
from pigsty.removal import Trace

INVENTORY: dict[str, Any] = {
    "all": {
        "vars": {"admin_ip": "10.1.1.10", "node_firewall_intranet": ["10.0.0.0/8"]},
        "children": {
            "infra": {"hosts": {"10.1.1.10": {"infra_seq": 1}}},
            "etcd": {"hosts": {"10.1.1.10": {"etcd_seq": 1}}, "vars": {"etcd_cluster": "etcd"}},
            "pg-meta": {
                "hosts": {"10.1.1.10": {"pg_seq": 1, "pg_role": "primary"}},
                "vars": {"pg_cluster": "pg-meta"},
            },
            "pg-test": {
                "hosts": {
                    "10.1.1.11": {"pg_seq": 1, "pg_role": "primary"},
                    "10.1.1.12": {"pg_seq": 2, "pg_role": "replica"},
                    "10.1.1.13": {"pg_seq": 3, "pg_role": "replica"},
                },
                "vars": {"pg_cluster": "pg-test"},
            },
        },
    }
}
ONE, TWO, THREE = "10.1.1.11", "10.1.1.12", "10.1.1.13"
NAMES = {ONE: "pg-test-1", TWO: "pg-test-2", THREE: "pg-test-3"}


def lives(name: str, host: str, **changes: Any) -> dcs.Member:
    """A member with a key in etcd."""
    member = dcs.Member(name, host, 8008, True, "replica", "running", False, False, "")
    return replace(member, **changes)


def living(leader: str = "pg-test-1", **changes: Any) -> dcs.Cluster:
    """The cluster of three in etcd."""
    members = tuple(lives(name, host) for host, name in NAMES.items())
    found = dcs.Cluster(
        name="pg-test",
        prefix="/pg/pg-test/",
        initialized=True,
        leader=leader,
        members=members,
        paused=False,
        synchronous=False,
        standbys=(),
        slots_ttl=1800,
    )
    return replace(found, **changes)


def trace(instance: str, **changes: Any) -> Trace:
    """A member's record, as its machine tells it."""
    return replace(Trace("pg-test", instance, False, True, None, False), **changes)
