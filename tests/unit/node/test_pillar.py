"""The pillar of a node: what is decided on the master, and what a node must not learn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pigsty import platform, topology
from pigsty.pillar import node as maker
from pigsty.pillar.site import Site

SITE = Site(key=b"0" * 32, ca="PEM", operator_keys=("ssh-ed25519 OPERATOR me@desk",))
BASE = {
    "all": {
        "vars": {"admin_ip": "10.10.10.10", "node_admin_pk_list": ["ssh-ed25519 LISTED x@y"]},
        "children": {
            "infra": {"hosts": {"10.10.10.10": {"infra_seq": 1}}},
            "etcd": {"hosts": {"10.10.10.10": {"etcd_seq": 1}}, "vars": {"etcd_cluster": "etcd"}},
            "pg-test": {
                "hosts": {
                    "10.10.10.11": {"pg_seq": 1, "pg_role": "primary"},
                    "10.10.10.12": {"pg_seq": 2, "pg_role": "replica"},
                },
                "vars": {"pg_cluster": "pg-test"},
            },
            "plain": {"hosts": {"10.10.10.20": {"nodename": "box", "node_cluster": "boxes"}}},
        },
    }
}


@pytest.fixture
def deployment(tmp_path):
    """Return the function that makes the pillar of a host, with variables added for all."""

    def pillar(ip, system="debian-13", host=None, **values):
        data = json.loads(json.dumps(BASE))
        data["all"]["vars"].update(values)
        for address, more in (host or {}).items():
            for group in data["all"]["children"].values():
                if address in group["hosts"]:
                    group["hosts"][address].update(more)
        file = Path(tmp_path, "pigsty.yml")
        file.write_text(yaml.safe_dump(data))
        deployed = topology.load(file)
        return maker.pillar(deployed, deployed.nodes[ip], SITE, platform.load(system))

    return pillar


def test_a_member_knows_its_own_cluster_by_name(deployment):
    lines = deployment("10.10.10.11")["hosts"]
    assert "10.10.10.10 i.pigsty" in lines
    assert "10.10.10.11 pg-test-1" in lines and "10.10.10.12 pg-test-2" in lines
    assert not any("box" in line for line in lines)


def test_nodename_exchange_tells_all(deployment):
    assert "10.10.10.20 box" in deployment("10.10.10.11", nodename_exchange=True)["hosts"]


def test_hosts_that_are_not_ours_to_write(deployment):
    assert deployment("10.10.10.11", node_write_etc_hosts=False)["hosts"] is None


def test_names(deployment):
    assert deployment("10.10.10.11")["nodename"] == "pg-test-1"
    assert deployment("10.10.10.20")["nodename"] == "box"
    assert deployment("10.10.10.10")["nodename"] == ""


def resolver(dns):
    return dns["method"], dns["servers"], dns["withheld"]


def test_nodes_ask_the_infra_nodes(deployment):
    assert resolver(deployment("10.10.10.11")["dns"]) == ("add", ["10.10.10.10"], [])
    assert resolver(deployment("10.10.10.11", node_dns_method="none")["dns"]) == ("none", [], [])


@pytest.mark.parametrize("silent", [{"dns_enabled": False}, {"dns_port": 5353}])
def test_a_resolver_that_does_not_serve_is_withheld(deployment, silent):
    dns = deployment("10.10.10.11", **silent)["dns"]
    assert resolver(dns) == ("none", [], ["10.10.10.10"])
    both = ["10.10.10.10", "10.9.9.9"]
    dns = deployment("10.10.10.11", node_dns_servers=both, **silent)["dns"]
    assert resolver(dns) == ("add", ["10.9.9.9"], ["10.10.10.10"])


def test_an_infra_node_keeps_servers_for_what_it_does_not_know(deployment):
    dns = deployment("10.10.10.10", node_dns_method="overwrite")["dns"]
    assert resolver(dns) == ("add", ["10.10.10.10"], [])
    own = ["10.10.10.10", "10.9.9.9"]
    dns = deployment("10.10.10.10", node_dns_method="overwrite", node_dns_servers=own)["dns"]
    assert resolver(dns) == ("overwrite", own, [])


@pytest.mark.parametrize("system", ["debian-13", "debian-12", "ubuntu-24"])
def test_packages_of_other_modules_are_left_to_them(deployment, system):
    asked = ["yum,etcd,node_exporter,vector", "zlib netcat", "haproxy"]
    names = deployment("10.10.10.11", system, node_default_packages=asked)["packages"]
    # What publishes metrics comes because the node has it, whatever a list says.
    own = "prometheus-node-exporter"
    logs = ["rsyslog", "systemd-journal-remote"]
    assert names == ["chrony", "haproxy", "netcat-openbsd", own, *logs, "zlib1g"]


def test_packages_follow_what_is_asked_for(deployment):
    minimal = {"node_default_packages": [], "haproxy_enabled": False, "node_ntp_enabled": False}
    minimal |= {"node_exporter_enabled": False, "promtail_enabled": False}
    assert deployment("10.10.10.20", **minimal)["packages"] == []
    more = {"node_packages": ["tmux"], "node_firewall_mode": "zone", "node_pip_packages": "ansible"}
    names = deployment("10.10.10.20", **minimal, **more)["packages"]
    assert names == ["nftables", "python3-venv", "tmux"]


def test_a_cluster_shares_a_key_and_the_admin_node_opens_all(deployment):
    one, two = deployment("10.10.10.11")["admin"], deployment("10.10.10.12")["admin"]
    admin, box = deployment("10.10.10.10")["admin"], deployment("10.10.10.20")["admin"]
    assert one["private_key"] == two["private_key"]
    assert len({entry["private_key"] for entry in (one, admin, box)}) == 3
    for entry in (one, two, box):
        assert admin["public_key"] in entry["keys"]
        assert admin["private_key"] not in str(entry)
    assert one["public_key"] not in box["keys"]
    assert "ssh-ed25519 LISTED x@y" in one["keys"]
    assert "ssh-ed25519 OPERATOR me@desk" in one["keys"]


def test_without_exchange_a_node_gets_no_key_and_trusts_the_listed_ones(deployment):
    admin = deployment("10.10.10.11", node_admin_ssh_exchange=False, node_admin_pk_current=False)
    assert admin["admin"]["private_key"] is None
    assert admin["admin"]["keys"] == ["ssh-ed25519 LISTED x@y"]


def test_no_admin_user(deployment):
    assert deployment("10.10.10.11", node_admin_enabled=False)["admin"] is None


def test_the_admin_node_serves_the_time_it_is_asked_for(deployment):
    servers = ["pool pool.ntp.org iburst", "server 10.10.10.10 iburst"]
    admin = deployment("10.10.10.10", node_ntp_servers=servers)["ntp"]["text"]
    member = deployment("10.10.10.11", node_ntp_servers=servers)["ntp"]["text"]
    assert "allow" in admin and "server 10.10.10.10" not in admin
    assert "allow" not in member and "server 10.10.10.10" in member
    assert deployment("10.10.10.11", node_ntp_enabled=False)["ntp"] is None


def test_passwords_that_nobody_declared_are_derived(deployment):
    config = deployment("10.10.10.11")["haproxy"]["config"]
    assert f"'admin:{SITE.secret('all', 'haproxy_admin_password')}'" in config
    config = deployment("10.10.10.11", haproxy_admin_password="it's")["haproxy"]["config"]
    assert "pigsty" not in config.split("stats auth")[1]


def test_haproxy_that_is_off_tells_no_password(deployment):
    assert deployment("10.10.10.11", haproxy_enabled=False)["haproxy"] == {"enabled": False}


VIP = {"vip_enabled": True, "vip_address": "10.10.10.99", "vip_vrid": 99}


def test_a_floating_address_is_shared_by_those_that_declare_it(deployment):
    both = {"10.10.10.11": {**VIP, "vip_role": "MASTER"}, "10.10.10.12": VIP, "10.10.10.20": VIP}
    one = deployment("10.10.10.11", host=both)["vip"]
    two = deployment("10.10.10.12", host=both)["vip"]
    assert (one["peers"], two["peers"]) == (["10.10.10.12"], ["10.10.10.11"])
    assert (one["role"], two["role"]) == ("master", "backup")
    assert one["password"] == two["password"] and len(one["password"]) == 8
    assert "keepalived" in deployment("10.10.10.11", host=both)["packages"]


def test_another_address_is_another_group(deployment):
    other = {**VIP, "vip_address": "10.10.10.98"}
    both = {"10.10.10.11": VIP, "10.10.10.12": other}
    assert deployment("10.10.10.11", host=both)["vip"]["peers"] == []


def test_no_floating_address(deployment):
    pillar = deployment("10.10.10.11")
    assert pillar["vip"] is None and "keepalived" not in pillar["packages"]


def test_the_packet_filter_trusts_who_it_works_with(deployment):
    away = {"node_firewall_mode": "zone", "node_firewall_intranet": ["192.168.0.0/16"]}
    rules = deployment("10.10.10.11", **away)["firewall"]["rules"]
    assert "10.10.10.12/32" in rules and "10.10.10.10/32" in rules
    assert "10.10.10.20" not in rules and "4505" not in rules
    assert "4505" in deployment("10.10.10.10", **away)["firewall"]["rules"]
    assert deployment("10.10.10.11", node_firewall_mode="off")["firewall"] == {
        "mode": "off",
        "rules": None,
    }


def test_the_same_input_gives_the_same_bytes(deployment):
    first, second = (json.dumps(deployment("10.10.10.11")) for _ in range(2))
    assert first == second
    assert json.loads(first) == deployment("10.10.10.11")
