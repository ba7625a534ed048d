"""The pillar of etcd members: secrets reach them and nobody else."""

from __future__ import annotations

import json
from pathlib import Path

from pigsty import inventory, pillar, platform, topology
from pigsty.pillar.site import Site

SHIPPED = Path(__file__).resolve().parents[3] / "pillar/inventory"
SITE = Site(key=b"k" * 32, ca="PEM")


def compiled(name):
    deployment = topology.build(inventory.load(SHIPPED / f"{name}.yml"))
    return deployment, {
        ip: pillar.compile_pillar(deployment, ip, SITE, platform.load()) for ip in deployment.nodes
    }


def test_every_member_knows_the_same_members_in_order():
    deployment, pillars = compiled("trio")
    found = [pillars[m.ip]["etcd"]["members"] for m in deployment.etcd]
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert [row["name"] for row in found[0]] == ["etcd-1", "etcd-2", "etcd-3"]


def test_a_user_and_a_prefix_for_each_cluster():
    _deployment, pillars = compiled("sandbox")
    users = pillars["10.10.10.10"]["etcd"]["users"]
    assert [(u["name"], u["prefix"], u["right"]) for u in users] == [
        ("pg-meta", "/pg/pg-meta/", "READWRITE"),
        ("pg-test", "/pg/pg-test/", "READWRITE"),
        ("pigsty_watch", "/pg/", "READ"),  # the admin node's: it sees who leads, and writes nothing
    ]
    # Never the cluster's name, which anybody could guess.
    assert all(u["password"] not in (u["name"], "") for u in users)


def test_a_password_is_the_one_that_the_cluster_uses():
    _deployment, pillars = compiled("sandbox")
    users = {u["name"]: u["password"] for u in pillars["10.10.10.10"]["etcd"]["users"]}
    for ip in ("10.10.10.11", "10.10.10.12", "10.10.10.13"):
        assert users["pg-test"] in json.dumps(pillars[ip]["pgsql"])


def test_only_members_hold_the_passwords_of_the_store():
    deployment, pillars = compiled("sandbox")
    members = {m.ip for m in deployment.etcd}
    data = pillars["10.10.10.10"]["etcd"]
    other = {u["name"]: u["password"] for u in data["users"]}
    for ip, found in pillars.items():
        if ip in members:
            continue
        assert "etcd" not in found
        assert data["root_password"] not in str(found)
        assert other["pg-meta"] not in str(found)


def test_an_undeclared_root_password_is_derived(tmp_path):
    file = tmp_path / "pigsty.yml"
    file.write_text(
        "all: { vars: { admin_ip: 10.1.1.1 }, children: {"
        " infra: { hosts: { 10.1.1.1: { infra_seq: 1 } } },"
        " etcd: { hosts: { 10.1.1.1: { etcd_seq: 1 } } } } }"
    )
    deployment = topology.build(inventory.load(file))
    data = pillar.compile_pillar(deployment, "10.1.1.1", SITE, platform.load())["etcd"]
    assert data["root_password"] == SITE.secret("all", "etcd_root_password")
    assert [user["name"] for user in data["users"]] == ["pigsty_watch"]
