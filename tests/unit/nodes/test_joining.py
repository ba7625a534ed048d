"""Whom it concerns that a machine comes."""

from __future__ import annotations

from pathlib import Path

from pigsty import topology
from pigsty.joining import concerned

SANDBOX = Path(__file__).resolve().parents[3] / "pillar/inventory/sandbox.yml"
ADMIN, FIRST, SECOND, THIRD = (f"10.10.10.{number}" for number in (10, 11, 12, 13))

#: One etcd member more, a cluster behind other machines' HAProxy, and a packet filter by name.
WIDE = """
all:
  vars: {admin_ip: 10.1.1.1}
  children:
    infra: {hosts: {10.1.1.1: {infra_seq: 1}}}
    etcd: {hosts: {10.1.1.1: {etcd_seq: 1}, 10.1.1.2: {etcd_seq: 2}}, vars: {etcd_cluster: etcd}}
    pg-a:
      hosts:
        10.1.1.3: {pg_seq: 1, pg_role: primary}
        10.1.1.4: {pg_seq: 2, pg_role: replica, node_firewall_mode: zone}
        10.1.1.5: {pg_seq: 3, pg_role: replica}
      vars: {pg_cluster: pg-a, pg_service_provider: proxy}
    proxy: {hosts: {10.1.1.6: {nodename: proxy-1}}}
    idle: {hosts: {10.1.1.7: {nodename_exchange: true}}}
"""


def test_a_replicas_peers_let_it_in_and_the_store_knows_its_cluster() -> None:
    found = concerned(topology.load(SANDBOX), SECOND)
    assert found["peers"] == (FIRST, THIRD)
    assert found["stores"] == (ADMIN,)
    assert (found["zoned"], found["carriers"], found["named"]) == ((), (), ())
    assert "clients" not in found


def test_who_filters_by_name_and_who_carries_the_services_is_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "pigsty.yml"
    file.write_text(WIDE)
    found = concerned(topology.load(file), "10.1.1.5")
    assert (found["peers"], found["zoned"]) == (("10.1.1.3",), ("10.1.1.4",))
    assert found["carriers"] == ("10.1.1.6",)
    assert found["named"] == ("10.1.1.7",)


def test_a_member_of_etcd_concerns_every_member_of_every_cluster(tmp_path: Path) -> None:
    file = tmp_path / "pigsty.yml"
    file.write_text(WIDE)
    found = concerned(topology.load(file), "10.1.1.2")
    assert found["clients"] == ("10.1.1.3", "10.1.1.4", "10.1.1.5")
    assert found["named"] == ("10.1.1.1", "10.1.1.6", "10.1.1.7")
    assert not any("10.1.1.2" in hosts for hosts in found.values())
