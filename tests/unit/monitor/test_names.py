"""The pillar of names and of logs: which records there are, who asks whom, who sends what."""

from __future__ import annotations

import pytest

from pigsty.pillar import dns, logs

SIZE = "-retention.maxDiskSpaceUsageBytes="


def records(made):
    return dns.names(made)["records"]


def test_a_clusters_name_follows_its_leader_where_there_is_no_floating_address(deployment):
    found = dns.names(deployment(pg_dns_suffix=".db"))
    assert found["clusters"]["pg-a"] == {
        "members": {"pg-a-1": "10.1.1.2", "pg-a-2": "10.1.1.3"},
        "names": ["pg-a.db", "pg-a"],
        "port": 8008,
        "primary": "pg-a-1",
        "tls": True,
    }
    assert "\n10.1.1.3 pg-a-2.db pg-a-2\n" in found["records"]["pg-a-2"]


@pytest.mark.parametrize(
    ("target", "address"),
    [("auto", "10.1.1.99"), ("vip", "10.1.1.99"), ("10.7.7.7", "10.7.7.7"), ("none", None)],
)
def test_a_name_with_a_fixed_target(deployment, target, address):
    made = deployment(pg_vip_enabled="true", pg_vip_address="10.1.1.99/24", pg_dns_target=target)
    found = dns.names(made)
    assert found["clusters"] == {}
    said = found["records"].get("pg-a")
    assert said is None if address is None else f"\n{address} pg-a\n" in said


def test_the_primary_is_followed_beside_a_floating_address(deployment):
    made = deployment(pg_vip_enabled="true", pg_vip_address="10.1.1.9/24", pg_dns_target="primary")
    assert "pg-a" in dns.names(made)["clusters"]


def test_records_of_the_inventory_and_of_floating_addresses(deployment):
    made = deployment(
        dns_records='["10.9.9.9 a.x b.x"]', vip_enabled="true", vip_address="10.1.1.88",
        vip_vrid=7, vip_dns_suffix=".vip",
    )  # fmt: skip
    assert records(made)["default"].endswith("\n10.9.9.9 a.x b.x\n")
    assert records(made)["pg-a.vip"].endswith("\n10.1.1.88 pg-a.vip\n")
    assert dns.pillar(made, made.nodes["10.1.1.1"])["listen"] == ["10.1.1.1", "10.1.1.88"]


def test_infra_nodes_ask_themselves_and_never_one_another(deployment):
    made = deployment(node_dns_servers='["10.1.1.1", "10.1.1.4", "10.9.9.9"]')
    asked = {ip: dns.servers(made, node)["servers"] for ip, node in made.nodes.items()}
    assert asked == {
        "10.1.1.1": ["10.1.1.1", "10.9.9.9"],
        "10.1.1.2": ["10.1.1.1", "10.1.1.4", "10.9.9.9"],
        "10.1.1.3": ["10.1.1.1", "10.1.1.4", "10.9.9.9"],
        "10.1.1.4": ["10.1.1.4", "10.9.9.9"],
    }
    plain = deployment()
    assert dns.servers(plain, plain.nodes["10.1.1.4"])["servers"] == ["10.1.1.4"]


def test_every_node_sends_to_every_infra_node(deployment):
    made = deployment()
    to = [{"ip": "10.1.1.1", "name": "infra-1"}, {"ip": "10.1.1.4", "name": "infra-2"}]
    assert all(logs.sends(made, node)["infra"] == to for node in made.nodes.values())
    programs = {ip: [program for program, _ in logs.sends(made, node)["files"]]
                for ip, node in made.nodes.items()}  # fmt: skip
    assert programs["10.1.1.1"] == ["nginx", "salt-master", "salt-minion"]
    assert programs["10.1.1.2"] == [
        "patroni", "pgbackrest", "pgbouncer", "postgres", "salt-minion"
    ]  # fmt: skip
    assert programs["10.1.1.4"] == ["nginx", "salt-minion"]


@pytest.mark.parametrize("off", ["loki_enabled", "promtail_enabled", "nginx_enabled"])
def test_nobody_sends_where_it_is_off(deployment, off):
    made = deployment(**{off: "false"})
    assert all(logs.sends(made, node) == {"files": [], "infra": []} for node in made.nodes.values())
    assert logs.hosts(made) == []


def test_whose_logs_there_are(deployment):
    rows = {row["ip"]: row for row in logs.hosts(deployment())}
    assert [name["ins"] for name in rows["10.1.1.1"]["names"]] == ["etcd-1", "infra-1", "10.1.1.1"]
    assert rows["10.1.1.2"]["names"][0] == {"module": "pgsql", "cls": "pg-a", "ins": "pg-a-1"}
    assert len({row["source"] for row in rows.values()}) == 4


@pytest.mark.parametrize(
    ("variables", "retention", "cap"),
    [
        ({}, "15d", 50 << 30),
        ({"loki_retention": "3d"}, "3d", 50 << 30),
        ({"vlogs_options": f"-retentionPeriod=7d {SIZE}2GiB"}, "7d", 2 << 30),
        ({"vlogs_options": "-retentionPeriod=2"}, "62d", 50 << 30),
        ({"vlogs_options": f"-retentionPeriod=1y {SIZE}1000"}, "365d", 1000),
    ],
)
def test_how_long_and_how_much(deployment, variables, retention, cap):
    made = deployment(**variables)
    found = logs.keeps(made, made.nodes["10.1.1.1"])
    assert (found["retention"], found["cap"]) == (retention, cap)
    assert found["folder"] == "/data/infra/logs"
    own = deployment(loki_data="/srv/logs")
    assert logs.keeps(own, own.nodes["10.1.1.1"])["folder"] == "/srv/logs"
