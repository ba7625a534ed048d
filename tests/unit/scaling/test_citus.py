"""Members of a group of Citus are removed; all of a group, or one that is forgotten, is not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from scaled import THREE, living, trace

from pigsty import removal
from pigsty.clients.etcd import EtcdError, decode, encode
from pigsty.pillar.site import Site
from pigsty.removal import RemovalRefused, Wish
from pigsty_cli import keepers, secrets

EXTMODS = Path(__file__).resolve().parents[3] / "extmods"
GROUP = {"pg_mode": "citus", "pg_shard": "shop", "pg_group": 1, "pg_primary_db": "sales"}


def test_a_member_of_a_group_goes_like_any_other(world, deployment):
    plan = removal.plan(world(deployment(without=[THREE], **GROUP)), Wish(("pg-test-3",)))
    assert [member.name for member in plan.members] == ["pg-test-3"] and not plan.whole


def test_all_of_a_group_stays_because_others_ask_for_its_shards(world, deployment):
    with pytest.raises(RemovalRefused, match=r"pg-test is group 1 of the Citus cluster shop"):
        removal.plan(world(deployment(**GROUP)), Wish())


def test_a_group_that_the_inventory_forgot_stays_because_its_keys_are_elsewhere(world, deployment):
    live = living("", members=(), initialized=False)
    traces = {THREE: trace("pg-test-3", shard="shop")}
    known = world(deployment(cluster=False), live=live, traces=traces)
    with pytest.raises(RemovalRefused, match="put it back there first"):
        removal.plan(known, Wish((THREE,)))


def test_etcd_is_asked_for_the_keys_of_the_group(deployment):
    asked = keepers.words_of(deployment(**GROUP), "pg-test")
    assert asked == {"cluster": "pg-test", "path": "shop/1"}
    assert keepers.words_of(deployment(), "pg-test") == {"cluster": "pg-test"}
    assert keepers.words_of(deployment(), "gone") == {"cluster": "gone"}


def test_a_password_that_groups_share_is_found_by_the_name_of_one(deployment):
    found = secrets.choose(
        deployment(**GROUP), Site(key=b"k" * 32, ca="CA"), ["patroni_password"], ["pg-test"]
    )
    assert [(entry.name, entry.scope) for entry in found] == [("patroni_password", "shop")]


class Store:
    """etcd's keys, and the roles that it knows."""

    host = "10.1.1.10"

    def __init__(self, keys):
        self.keys, self.roles = keys, {"shop": "/dbs/shop/"}

    def call(self, path, body):
        if path == "auth/role/get":
            if body["role"] not in self.roles:
                raise EtcdError("role name not found", path)
            return {"perm": [{"key": encode(self.roles[body["role"]])}]}
        start, end = decode(body["key"]), decode(body.get("range_end", ""))
        within = [key for key in self.keys if (start <= key < end if end else key == start)]
        if path == "kv/deleterange":
            for key in within:
                del self.keys[key]
            return {"deleted": str(len(within))}
        rows = [{"key": encode(k), "value": encode(self.keys[k])} for k in within]
        return {"header": {"revision": "1"}, "kvs": rows}


@pytest.fixture
def module(monkeypatch):
    """The execution module, with a store of two groups."""
    path = EXTMODS / "_modules" / "pigsty_dcs.py"
    spec = importlib.util.spec_from_file_location("pigsty_dcs", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    found.store = Store(
        {
            "/dbs/shop/0/leader": "shop0-1",
            "/dbs/shop/1/leader": "shop1-1",
            "/dbs/shop/1/members/shop1-1": "{}",
            "/dbs/shop/1/members/shop1-2": "{}",
            "/dbs/shop/11/leader": "shop11-1",
        }
    )
    monkeypatch.setattr(found, "_client", lambda: found.store)
    return found


def test_a_group_is_read_below_its_shard_wherever_that_is(module):
    found = module.look("shop1", path="shop/1")
    assert (found["name"], found["prefix"]) == ("shop1", "/dbs/shop/1/")
    assert found["leader"] == "shop1-1"
    assert [member["name"] for member in found["members"]] == ["shop1-1", "shop1-2"]
    assert module.look("shop1")["prefix"] == "/pg/shop1/"


def test_only_the_key_of_the_removed_member_goes(module):
    assert module.forget("shop1", ["shop1-2"], path="shop/1") == {"forgotten": "/dbs/shop/1/"}
    assert "/dbs/shop/1/members/shop1-2" not in module.store.keys
    assert len(module.store.keys) == 4
