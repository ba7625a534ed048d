"""The pillar of a member: least privilege, addresses, and the same bytes every time."""

from __future__ import annotations

import json

import pytest

from pigsty import platform
from pigsty.errors import PillarError
from pigsty.pillar import node, pgsql
from pigsty.pillar.site import Site
from pigsty.render import services

SITE = Site(key=b"k" * 32, ca="CA")


def test_plain_data_and_the_same_every_time(pillar):
    assert json.dumps(pillar(), sort_keys=False) == json.dumps(pillar(), sort_keys=False)


def test_identity(pillar):
    found = pillar("10.1.1.13")
    assert (found["cluster"], found["instance"], found["seq"], found["role"]) == (
        "pg-test",
        "pg-test-3",
        3,
        "replica",
    )
    assert found["offline"] is True and pillar("10.1.1.12")["offline"] is False


def test_packages_of_the_version(pillar):
    found = pillar(pg_version=16, pg_extensions=["postgis, pgaudit", "postgresql-$v-own"])
    assert "postgresql-16" in found["packages"] and "patroni" in found["packages"]
    assert "postgresql-16-postgis-3" in found["packages"]
    assert "postgresql-16-pgaudit" in found["packages"]
    assert "postgresql-16-own" in found["packages"]
    assert not any("$v" in name or "-17" in name for name in found["packages"])
    assert found["directories"]["main"] == "/data/postgres/pg-test-16"
    assert found["directories"]["programs"] == "/usr/lib/postgresql/16"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["0.0.0.0"]),
        ({"pg_listen": "${ip},${lo}"}, ["10.1.1.12", "127.0.0.1"]),
        ({"pg_listen": "${ip},${vip},${lo}"}, ["10.1.1.12", "127.0.0.1"]),
        (
            {
                "pg_listen": "${ip}, ${vip}, ${ip}",
                "pg_vip_enabled": True,
                "pg_vip_address": "10.1.1.3/24",
            },
            ["10.1.1.12", "10.1.1.3"],
        ),
    ],
)
def test_listen(pillar, changes, expected):
    assert pillar("10.1.1.12", **changes)["patroni"]["listen"] == expected


def test_members_share_the_passwords_of_their_cluster_and_of_no_other(pillar):
    first, second, other = pillar("10.1.1.11"), pillar("10.1.1.12"), pillar("10.1.1.10")
    for name in ("password", "etcd_password", "replication_password"):
        assert first["patroni"][name] == second["patroni"][name] != other["patroni"][name]
        assert other["patroni"][name] not in json.dumps(first)


def test_declared_passwords_win(pillar):
    found = pillar(
        patroni_password="Rest", pg_etcd_password="Etcd", pg_replication_password="Repl"
    )["patroni"]
    assert (found["password"], found["etcd_password"], found["replication_password"]) == (
        "Rest",
        "Etcd",
        "Repl",
    )


def test_no_plain_password_beyond_what_patroni_needs(pillar):
    found = pillar(pg_admin_password="Canary.Admin", pg_monitor_password="Canary.Monitor")
    assert "Canary" not in json.dumps(found)


def test_a_cluster_without_etcd_is_an_error(deployment):
    found = deployment()
    bare = type(found)(**{**{name: getattr(found, name) for name in found.__slots__}, "etcd": ()})
    with pytest.raises(PillarError, match="needs an etcd"):
        pgsql.pillar(bare, bare.nodes["10.1.1.11"], Site(b"k" * 32, ""), platform.load())


def test_services_go_to_their_provider(pillar):
    assert set(pillar()["services"]["files"]) == {
        "pg-test-primary.cfg",
        "pg-test-replica.cfg",
        "pg-test-default.cfg",
        "pg-test-offline.cfg",
    }
    assert pillar(pg_service_provider="infra")["services"]["files"] == {}
    # An unknown group means the member itself, as it always has.
    assert pillar(pg_service_provider="nobody")["services"]["files"]


def test_a_provider_carries_the_services_of_its_clusters_and_nobody_elses(deployment):
    found = deployment(pg_service_provider="infra")
    carried = services.provided(found, found.nodes["10.1.1.10"])
    assert set(carried) == {
        f"pg-test-{n}.cfg" for n in ("primary", "replica", "default", "offline")
    }
    assert services.provided(found, found.nodes["10.1.1.12"]) == {}
    assert services.provided(deployment(), found.nodes["10.1.1.10"]) == {}
    pillar = node.pillar(found, found.nodes["10.1.1.10"], SITE, platform.load())
    assert set(pillar["haproxy"]["services"]) == set(carried)


def test_hba_rules_carry_their_role(pillar):
    rules = [{"title": "etl", "role": "offline", "user": "etl", "addr": "intra", "auth": "pwd"}]
    found = pillar(pg_hba_rules=rules)["hba"]
    assert found["postgres"][-1]["role"] == "offline"
    assert found["postgres"][-1]["lines"][0].split() == [
        "host",
        "all",
        "etl",
        "10.0.0.0/8",
        "scram-sha-256",
    ]
    assert len(pillar()["hba"]["postgres"]) == len(found["postgres"]) - 1


def test_another_clusters_backups_are_readable_only_where_it_is_declared(pillar):
    assert pillar()["source"] is None
    assert pillar(pg_pitr={"cluster": "pg-test"})["source"] is None
    assert pillar(pg_pitr={"cluster": "pg-none"})["source"] is None
    found = pillar(pg_pitr={"cluster": "pg-meta", "type": "default"})["source"]
    assert found["stanza"] == "pg-meta"
