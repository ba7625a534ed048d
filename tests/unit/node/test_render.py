"""The texts of a node: names, kernel, clock, floating address, packet filter, SSH."""

from __future__ import annotations

import base64
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from pigsty.render import chrony, firewall, hosts, keepalived, ssh, sysctl

GIB = 1024**3


def test_hosts_lines_keep_the_declared_ones_and_repeat_nothing():
    declared = ["10.0.0.1  i.pigsty   a", "10.0.0.1 i.pigsty a", "# comment", "", "10.0.0.9"]
    members = {"10.0.0.1": ["a", "infra-1", "infra-1"], "10.0.0.2": ["pg-1"], "10.0.0.3": [""]}
    assert hosts.lines(declared, members) == [
        "10.0.0.1 i.pigsty a",
        "10.0.0.1 infra-1",
        "10.0.0.2 pg-1",
    ]


def test_our_block_leaves_the_rest_of_hosts_alone():
    old = "127.0.0.1 localhost\n127.0.1.1 box\n"
    new = hosts.hosts(old, ["10.0.0.1 a"])
    assert new.startswith(old)
    assert hosts.hosts(new, []) == old


RESOLV = "# by DHCP\nsearch lan\nnameserver 1.1.1.1\nnameserver 8.8.8.8\nnameserver 9.9.9.9\n"


def test_add_puts_our_servers_first_and_keeps_three():
    new = hosts.resolv_conf(RESOLV, "add", ["10.0.0.1"], ["options timeout:1"])
    servers = [row.split()[1] for row in new.splitlines() if row.startswith("nameserver")]
    assert servers == ["10.0.0.1", "1.1.1.1", "8.8.8.8"]
    assert "search lan" in new and "options timeout:1" in new
    assert hosts.resolv_conf(new, "add", ["10.0.0.1"], ["options timeout:1"]) == new


def test_add_does_not_list_a_server_twice():
    new = hosts.resolv_conf(RESOLV, "add", ["8.8.8.8"], [])
    assert new.count("nameserver 8.8.8.8") == 1


def test_overwrite_keeps_the_search_domain_and_no_server():
    new = hosts.resolv_conf(RESOLV, "overwrite", ["10.0.0.1"], [])
    assert [row for row in new.splitlines() if row.startswith("nameserver")] == [
        "nameserver 10.0.0.1"
    ]
    assert "search lan" in new
    assert hosts.resolv_conf(new, "overwrite", ["10.0.0.1"], []) == new


def test_none_takes_our_lines_out_again():
    new = hosts.resolv_conf("search lan\n", "add", ["10.0.0.1"], ["options timeout:1"])
    assert hosts.resolv_conf(new, "none", [], []) == "search lan\n"


@pytest.mark.parametrize(
    ("memory", "count", "ratio", "pages"),
    [
        (4 * GIB, 0, 0.0, 0),
        (4 * GIB, 0, 0.25, 512),
        (4 * GIB, 100, 0.25, 100),
        (4 * GIB, 999999, 0.0, 1844),
        (4 * GIB, 0, 0.9, 0),
        (4 * GIB, 0, -1.0, 0),
        (3 * GIB + 1, 0, 0.1, 154),
    ],
)
def test_huge_pages(memory, count, ratio, pages):
    assert sysctl.huge_pages(memory, count, ratio) == pages


@pytest.mark.parametrize("profile", sysctl.PROFILES)
def test_every_profile_sets_the_same_names(profile):
    names = set(sysctl.settings(profile, memory=GIB))
    assert names == set(sysctl.settings("oltp", memory=GIB))
    assert {"vm.swappiness", "vm.nr_hugepages", "net.core.somaxconn"} <= names


def test_crit_keeps_less_unwritten_than_olap():
    crit, olap = (sysctl.settings(name, memory=GIB) for name in ("crit", "olap"))
    assert int(crit["vm.dirty_ratio"]) < int(olap["vm.dirty_ratio"])


def test_strict_overcommit_is_not_for_crit():
    settings = sysctl.settings("oltp", memory=GIB, overcommit_ratio=80)
    assert (settings["vm.overcommit_memory"], settings["vm.overcommit_ratio"]) == ("2", "80")
    settings = sysctl.settings("crit", memory=GIB, overcommit_ratio=80)
    assert settings["vm.overcommit_memory"] == "0"
    assert "vm.overcommit_ratio" not in settings


def test_extra_settings_win_and_stand_alone_without_a_profile():
    extra = {"vm.swappiness": 60, "net.ipv4.tcp_rmem": "4096\t87380  6291456"}
    assert sysctl.settings("oltp", memory=GIB, extra=extra)["vm.swappiness"] == "60"
    alone = sysctl.settings("none", memory=GIB, hugepage_count=5, extra=extra)
    assert alone == {"net.ipv4.tcp_rmem": "4096 87380 6291456", "vm.swappiness": "60"}
    assert sysctl.conf({}) is None
    assert "vm.swappiness = 60" in sysctl.conf(alone)


def test_where_a_setting_stands():
    assert sysctl.path("vm.swappiness") == "/proc/sys/vm/swappiness"
    assert sysctl.path("net/ipv4/conf/eth0.1/forwarding").endswith("/eth0.1/forwarding")


def test_limits_stay_within_what_the_machine_allows():
    free = sysctl.limits({})
    assert "nofile   655360" in free and "memlock  unlimited" in free
    bound = sysctl.limits({"nofile": "20000", "memlock": "65536", "nproc": "unlimited"})
    assert "nofile   20000" in bound and "memlock  65536" in bound and "nproc    655360" in bound


def test_no_module_no_file():
    assert sysctl.modules_conf([]) is None
    assert sysctl.modules_conf(["a", "b", "a"]).splitlines()[1:] == ["a", "b"]


def test_huge_page_policy_follows_the_profile():
    assert "never" in sysctl.huge_page_policy("oltp")
    assert sysctl.huge_page_policy("none") is None


def test_a_node_is_no_source_of_its_own_time():
    declared = ["pool pool.ntp.org iburst", "10.0.0.1", "server 10.0.0.1 iburst", ""]
    assert chrony.sources(declared, "10.0.0.1") == ["pool pool.ntp.org iburst"]
    assert chrony.sources(declared, "10.0.0.2") == [
        "pool pool.ntp.org iburst",
        "server 10.0.0.1 iburst",
    ]


def test_only_a_server_serves():
    assert "allow" not in chrony.conf(["pool x"], serve=[])
    text = chrony.conf([], serve=["10.0.0.0/8"])
    assert "allow 10.0.0.0/8" in text and "local stratum" in text


VIP = {
    "address": "10.0.0.99",
    "vrid": 128,
    "role": "master",
    "preempt": False,
    "interface": "eth0",
    "ip": "10.0.0.1",
    "peers": ["10.0.0.2", "10.0.0.3"],
    "password": "0123456789",
    "router": "node-1",
}


def test_keepalived_without_preemption_starts_as_backup():
    text = keepalived.conf(**VIP)
    assert "state BACKUP" in text and "nopreempt" in text and "priority 128" in text
    assert '"01234567"' in text
    preempting = keepalived.conf(**{**VIP, "preempt": True})
    assert "state MASTER" in preempting and "nopreempt" not in preempting


def test_keepalived_talks_to_its_peers_alone():
    rows = [row.strip() for row in keepalived.conf(**VIP).splitlines()]
    assert rows[rows.index("unicast_peer {") + 1 :][:3] == ["10.0.0.2", "10.0.0.3", "}"]
    assert "unicast_src_ip 10.0.0.1" in rows


def test_addresses_outside_of_the_intranet():
    networks = ["10.0.0.0/8", "fd00::/8"]
    assert firewall.outside(["10.1.1.1", "8.8.8.8", "fd00::1", "8.8.8.8"], networks) == ["8.8.8.8"]


def test_the_filter_lets_in_the_intranet_and_the_ports_alone():
    rules = firewall.rules(["10.0.0.0/8", "fd00::/8"], ["8.8.8.8"], [443, 22])
    assert "policy drop" in rules
    assert "ip saddr { 10.0.0.0/8, 8.8.8.8/32 } accept" in rules
    assert "ip6 saddr { fd00::/8 } accept" in rules
    assert "tcp dport { 22, 443 } accept" in rules
    assert "dport" not in firewall.rules(["10.0.0.0/8"], [], [])


@pytest.mark.skipif(shutil.which("nft") is None, reason="nftables is not installed here")
def test_nftables_accepts_the_rules():
    rules = firewall.rules(["10.0.0.0/8", "fd00::/8"], ["8.8.8.8"], [22])
    done = subprocess.run(["nft", "-c", "-f", "-"], input=rules, capture_output=True, text=True)
    if "permitted" in done.stderr:
        pytest.skip("nft needs CAP_NET_ADMIN")
    assert done.returncode == 0, done.stderr


def test_a_key_pair_follows_from_its_secret():
    pair = ssh.key_pair("s3cret", "dba@pg-test")
    assert pair == ssh.key_pair.__wrapped__("s3cret", "dba@pg-test")
    assert pair.public != ssh.key_pair("other", "dba@pg-test").public
    assert "s3cret" not in repr(pair) and "PRIVATE" not in repr(pair)


@pytest.mark.parametrize("comment", ["", "a", "dba@pg-test", "x" * 50])
def test_other_programs_read_the_key(comment):
    pair = ssh.key_pair("s3cret", comment)
    key = load_ssh_private_key(pair.private.encode(), None)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert f"{public} {comment}" == pair.public


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed here")
def test_openssh_reads_the_key(tmp_path):
    pair = ssh.key_pair("s3cret", "dba@pg-test")
    (tmp_path / "key").write_text(pair.private)
    (tmp_path / "key").chmod(0o600)
    done = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(tmp_path / "key")], capture_output=True, text=True
    )
    assert done.stdout.strip() == pair.public, done.stderr


def test_the_seed_is_not_the_secret():
    # Whoever reads the key file must not learn the secret that other things may follow from.
    blob = base64.b64decode("".join(ssh.key_pair("s3cret", "c").private.splitlines()[1:-1]))
    assert b"s3cret" not in blob


def test_a_key_under_two_names_is_one():
    keys = [" ssh-ed25519 AAAA a@b ", "ssh-ed25519 AAAA other", "# note", "", "ssh-rsa BBBB"]
    assert ssh.authorized(keys) == ["ssh-ed25519 AAAA a@b", "ssh-rsa BBBB"]


def test_sudo_rules():
    assert ssh.sudoers("dba", "nopass").endswith("dba ALL=(ALL:ALL) NOPASSWD: ALL\n")
    assert "NOPASSWD" not in ssh.sudoers("dba", "all")
    limited = ssh.sudoers("dba", "limit")
    assert "/usr/bin/systemctl restart patroni" in limited
    # Whatever opens a pager or an editor, or takes any argument, is a way to a root shell.
    assert not any(
        word in limited for word in ("*", "status", "journalctl", "apt", "NOPASSWD: ALL")
    )
    assert ssh.sudoers("dba", "none") is None
