"""A cluster's keys are looked at and deleted in the same way, whichever store they are in."""

from __future__ import annotations

import json

import pytest

from pigsty import dcs, deadlines
from pigsty.clients import cluster_keys
from pigsty.clients.cluster_keys import Inhabited
from pigsty.clients.consul import ConsulStore
from pigsty.clients.etcd_watch import EtcdStore
from pigsty.clients.store import Snapshot
from pigsty.deadlines import DeadlineExceeded

PREFIX = "/pg/pg-test/"
MEMBER = json.dumps({"conn_url": "postgres://10.1.1.11:5432/postgres", "state": "running"})


class Memory:
    """A store in memory; what is said to happen at a look happens then."""

    def __init__(self, *names, leader=""):
        self.keys = {f"{PREFIX}members/{name}": MEMBER for name in names}
        self.keys |= {f"{PREFIX}config": "{}", f"{PREFIX}initialize": "7", "/pg/pg-test2/x": "1"}
        if leader:
            self.keys[f"{PREFIX}leader"] = leader
        self.looks = []

    def read(self, prefix):
        if self.looks:
            self.looks.pop(0)()
        return Snapshot(1, [pair for pair in self.keys.items() if pair[0].startswith(prefix)])

    def watch(self, prefix, revision):
        raise NotImplementedError

    def delete(self, key):
        for name in list(self.keys):
            if name == key or (key.endswith("/") and name.startswith(key)):
                del self.keys[name]


def test_a_cluster_is_what_its_keys_say_without_the_neighbours():
    found = cluster_keys.look(Memory("pg-test-1", leader="pg-test-1"), "pg-test", PREFIX)
    assert (found.leader, found.prefix, found.initialized) == ("pg-test-1", PREFIX, True)
    assert [(m.name, m.host) for m in found.members] == [("pg-test-1", "10.1.1.11")]
    assert not cluster_keys.look(Memory(), "pg-old", "/pg/pg-old/").exists


def test_a_removed_members_key_goes_alone():
    store = Memory("pg-test-1", "pg-test-2", leader="pg-test-1")
    before = dict(store.keys)
    cluster_keys.forget(store, "pg-test", PREFIX, ["pg-test-2", "pg-test-9"])
    assert before.keys() - store.keys.keys() == {f"{PREFIX}members/pg-test-2"}


def test_the_key_of_a_member_that_leads_stays():
    store = Memory("pg-test-1", "pg-test-2", leader="pg-test-1")
    before = dict(store.keys)
    with pytest.raises(Inhabited, match="led by a member"):
        cluster_keys.forget(store, "pg-test", PREFIX, ["pg-test-2", "pg-test-1"])
    assert store.keys == before


def test_all_keys_of_a_cluster_that_is_down_go_and_no_others():
    store = Memory("pg-test-1", "pg-test-2")
    cluster_keys.forget(store, "pg-test", PREFIX, ["pg-test-1", "pg-test-2"], whole=True)
    assert store.keys == {"/pg/pg-test2/x": "1"}


def test_while_anybody_else_lives_all_keys_stay():
    store = Memory("pg-test-1", "pg-test-2")
    before = dict(store.keys)
    with pytest.raises(Inhabited, match="pg-test-2 of pg-test lives: its keys stay"):
        cluster_keys.forget(store, "pg-test", PREFIX, ["pg-test-1"], whole=True)
    assert store.keys == before


def test_a_leaders_key_that_expires_is_waited_for_and_one_that_stays_keeps_all(monkeypatch):
    store = Memory("pg-test-1", leader="pg-test-1")
    store.looks = [lambda: None, lambda: store.delete(f"{PREFIX}leader")]
    cluster_keys.forget(store, "pg-test", PREFIX, ["pg-test-1"], whole=True)
    assert store.keys == {"/pg/pg-test2/x": "1"}
    short = {**deadlines.DEADLINES, "removal.leaderless": 0.0}
    monkeypatch.setattr(deadlines, "DEADLINES", short)
    store = Memory("pg-test-1", leader="pg-test-1")
    before = dict(store.keys)
    with pytest.raises(DeadlineExceeded, match="leader key of pg-test"):
        cluster_keys.forget(store, "pg-test", PREFIX, ["pg-test-1"], whole=True)
    assert store.keys == before


def test_the_last_leader_is_forgotten_and_the_configuration_is_not():
    store = Memory("pg-test-1", leader="pg-test-1")
    store.keys |= {f"{PREFIX}{key}": "x" for key in dcs.LEADERSHIP}
    cluster_keys.forget_leader(store, PREFIX)
    left = {key for key in store.keys if key.startswith(PREFIX)}
    assert left == {f"{PREFIX}{name}" for name in ("config", "initialize", "members/pg-test-1")}


def _spec(consul):
    patroni = {"namespace": "/pg/", "path": "shop/1", "consul": consul}
    patroni |= {"etcd": ["10.1.1.10:2379"], "etcd_username": "shop", "etcd_password": "S"}
    return {"patroni": patroni, "certificates": "/pg/cert"}


def test_a_member_opens_its_own_store_with_the_rights_of_its_cluster():
    store, prefix = cluster_keys.own(_spec(None))
    assert (type(store), prefix) == (EtcdStore, "/pg/shop/1/")
    consul = {"url": "https://127.0.0.1:8501", "token": "T", "ca": ""}
    store, prefix = cluster_keys.own(_spec(consul))
    assert (type(store), prefix) == (ConsulStore, "/pg/shop/1/")
