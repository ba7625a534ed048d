"""What opens the stores, and by which names clusters are known there and in the inventory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from pigsty import pki, topology, views
from pigsty.clients import stores
from pigsty.clients.consul import Address, ConsulStore
from pigsty.clients.etcd_watch import EtcdStore
from pigsty.clients.store import Snapshot, Update
from pigsty.clients.stores import Access
from pigsty.errors import ClientError
from pigsty.topology import Topology

SHARDED = """
all:
  vars: { admin_ip: 10.1.1.1 }
  children:
    infra: { hosts: { 10.1.1.1: { infra_seq: 1 } } }
    etcd: { hosts: { 10.1.1.1: { etcd_seq: 1 } } }
    plain: { vars: { pg_cluster: plain }, hosts: { 10.1.1.2: { pg_seq: 1, pg_role: primary } } }
    shop-1:
      vars: { pg_cluster: shop-1, pg_mode: citus, pg_shard: shop, pg_group: 1 }
      hosts: { 10.1.1.3: { pg_seq: 1, pg_role: primary } }
"""


@pytest.fixture
def declared(tmp_path: Path) -> Topology:
    file = tmp_path / "pigsty.yml"
    file.write_text(SHARDED)
    return topology.load(file)


@pytest.fixture
def access(tmp_path: Path) -> Access:
    key, cert = pki.create_ca("test-ca", 30)
    folder = tmp_path / "pki"
    folder.mkdir()
    (folder / "ca.key").write_bytes(key)
    (folder / "ca.crt").write_bytes(cert)
    (tmp_path / "secret.key").write_text("5a" * 32)
    return Access(tmp_path / "secret.key", folder, tmp_path / "run")


def test_a_group_of_citus_is_known_by_its_name_in_the_inventory(declared: Topology) -> None:
    found = views.read("/pg", [("/pg/shop/1/leader", "shop-1-1"), ("/pg/plain/leader", "plain-1")])
    assert set(stores.known(declared, found)) == {"shop-1", "plain"}
    assert stores.known(declared, views.read("/pg", [("/pg/x/leader", "x-1")])).keys() == {"x"}


def test_only_the_keys_of_the_clusters_that_are_asked_for_are_read(
    declared: Topology, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Store:
        def read(self, prefix: str) -> Snapshot:
            asked.append(prefix)
            return Snapshot(1, [(f"{prefix}leader", "shop-1-1")])

        def watch(self, prefix: str, revision: int) -> Iterator[Update]:
            raise NotImplementedError

    monkeypatch.setattr(Access, "store", lambda *_: Store())
    found = access.of(declared, [declared.pg_clusters["shop-1"]])
    assert asked == ["/pg/shop/1/"]
    assert found["shop-1"].leader == "shop-1-1"
    access.all_views(declared)
    assert asked[1:] == ["/pg/"]


def test_a_certificate_for_a_day_opens_it_and_only_its_owner_may_read_the_key(
    declared: Topology, access: Access
) -> None:
    assert isinstance(access.store(declared), EtcdStore)
    key, cert = access.run / "watch.key", access.run / "watch.crt"
    assert key.stat().st_mode & 0o077 == 0
    leaf = x509.load_pem_x509_certificate(cert.read_bytes())
    assert (leaf.not_valid_after_utc - datetime.now(UTC)).days <= 1
    before = key.read_bytes()
    access.store(declared)
    assert key.read_bytes() == before, "the same one for half a day"
    old = datetime.now(UTC).timestamp() - 43_300
    os.utime(cert, (old, old))
    access.store(declared)
    assert key.read_bytes() != before


def test_a_ca_that_was_replaced_signs_anew(declared: Topology, access: Access) -> None:
    access.store(declared)
    before = (access.run / "watch.crt").read_bytes()
    later = datetime.now(UTC).timestamp() + 5
    os.utime(access.pki / "ca.crt", (later, later))
    access.store(declared)
    assert (access.run / "watch.crt").read_bytes() != before


MIXED = """
all:
  vars:
    admin_ip: 10.1.1.1
    pg_consul_url: https://consul.test:8501
    pg_consul_watch_token: reads
    pg_consul_ca: /etc/consul/ca.crt
  children:
    infra: { hosts: { 10.1.1.1: { infra_seq: 1 } } }
    etcd: { hosts: { 10.1.1.1: { etcd_seq: 1 } } }
    plain: { vars: { pg_cluster: plain }, hosts: { 10.1.1.2: { pg_seq: 1, pg_role: primary } } }
    other:
      vars: { pg_cluster: other, pg_dcs_type: consul, pg_consul_token: writes, pg_namespace: /db }
      hosts: { 10.1.1.3: { pg_seq: 1, pg_role: primary } }
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Topology:
    file = tmp_path / "mixed.yml"
    file.write_text(MIXED)
    return topology.load(file)


class Stores:
    """A store of each kind, with one cluster; one that is down answers nobody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.down: set[str] = set()
        self.asked: list[tuple[str, str]] = []

        class Store:
            def __init__(self, scene: Stores, kind: str) -> None:
                self._scene, self._kind = scene, kind

            def read(self, prefix: str) -> Snapshot:
                if self._kind in self._scene.down:
                    raise ClientError(f"{self._kind} is down")
                self._scene.asked.append((self._kind, prefix))
                cluster = {"etcd": "plain", "consul": "other"}[self._kind]
                space = {"etcd": "/pg/", "consul": "/db/"}[self._kind]
                return Snapshot(1, [(f"{space}{cluster}/leader", f"{cluster}-1")])

            def watch(self, prefix: str, revision: int) -> Iterator[Update]:
                raise NotImplementedError

        monkeypatch.setattr(Access, "store", lambda _self, _found, kind="etcd": Store(self, kind))


def test_each_cluster_is_read_in_its_own_store(
    mixed: Topology, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Stores(monkeypatch)
    found = access.of(mixed, list(mixed.pg_clusters.values()))
    assert {name: view.leader for name, view in found.items()} == {
        "plain": "plain-1",
        "other": "other-1",
    }
    assert sorted(scene.asked) == [("consul", "/db/other/"), ("etcd", "/pg/plain/")]
    assert access.all_views(mixed).keys() == {"plain", "other"}


def test_a_store_that_is_down_hides_its_own_clusters_only(
    mixed: Topology, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Stores(monkeypatch)
    scene.down = {"etcd"}
    assert access.all_views(mixed).keys() == {"other"}
    scene.down = {"etcd", "consul"}
    with pytest.raises(ClientError, match="etcd is down"):
        access.all_views(mixed)


def test_where_no_cluster_is_in_a_store_there_is_nothing_to_watch(
    mixed: Topology, declared: Topology, access: Access
) -> None:
    assert access.source(declared, "consul") is None
    source = access.source(mixed, "consul")
    assert source is not None
    assert (type(source.store), source.namespace) == (ConsulStore, "/db/")
    etcd = access.source(mixed, "etcd")
    assert etcd is not None
    assert etcd.namespace == "/pg/", "namespaces of clusters in the other store don't count"


def test_the_admin_node_reads_consul_with_the_token_that_only_reads(mixed: Topology) -> None:
    found = stores.consul_address(mixed)
    assert found == Address("https://consul.test:8501", "reads", "/etc/consul/ca.crt")
    assert "reads" not in repr(found)


def test_without_etcd_or_a_ca_the_reason_is_told(tmp_path: Path, declared: Topology) -> None:
    lonely = Access(tmp_path / "none", tmp_path / "nopki", tmp_path / "run")
    with pytest.raises(ClientError, match="no client certificate"):
        lonely.store(declared)
    file = tmp_path / "bare.yml"
    file.write_text("all: { children: { infra: { hosts: { 10.1.1.1: { infra_seq: 1 } } } } }")
    with pytest.raises(ClientError, match="no etcd"):
        lonely.store(topology.load(file))
