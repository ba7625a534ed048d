"""A cluster's floating address: what the pillar says of it, and the files made from that."""

from __future__ import annotations

import pytest
import yaml

from pigsty.render import vipmanager

ADDRESS = {"pg_vip_enabled": True, "pg_vip_address": "10.1.1.3/24"}
UNIT = "/etc/systemd/system/vip-manager.service.d/pigsty.conf"
PATRONI_UNIT = "/etc/systemd/system/patroni.service.d/pigsty-vip.conf"


@pytest.fixture
def files(pillar):
    """Return a function that gives the texts of a member's files, by path."""

    def build(ip="10.1.1.11", **changes):
        vip = pillar(ip, **{**ADDRESS, **changes})["vip"]
        return {file.path: file.contents for file in vipmanager.files(vip, "eth1")}

    return build


def test_a_cluster_has_none_unless_it_is_asked_for(pillar):
    found = pillar()
    assert found["vip"] is None and "vip-manager2" not in found["packages"]
    assert "vip-manager2" in pillar(**ADDRESS)["packages"]


def test_without_patroni_nobody_could_tell_where_it_belongs(pillar):
    assert pillar(**ADDRESS, patroni_enabled=False)["vip"] is None


def test_each_member_asks_its_own_patroni_whether_it_leads(files):
    found = yaml.safe_load(files("10.1.1.12")[vipmanager.CONF])
    assert (found["ip"], found["netmask"], found["interface"]) == ("10.1.1.3", 24, "eth1")
    assert found["dcs-type"] == "patroni"
    assert found["dcs-endpoints"] == ["https://10.1.1.12:8008"]
    assert (found["trigger-key"], found["trigger-value"]) == ("/leader", "200")


def test_patroni_is_asked_as_it_speaks(pillar, files):
    plain = yaml.safe_load(files(patroni_ssl_enabled=False, patroni_port=8009)[vipmanager.CONF])
    assert plain["dcs-endpoints"] == ["http://10.1.1.11:8009"]
    authorities = pillar(**ADDRESS)["vip"]["authorities"]
    assert f"Environment=SSL_CERT_FILE={authorities}" in files()[UNIT].splitlines()


def test_nothing_of_it_is_secret(files):
    texts = "".join(files(patroni_password="Canary.1", pg_etcd_password="Canary.2").values())
    assert "Canary" not in texts and "password" not in texts


def test_however_the_program_ends_the_address_goes(files):
    rows = files()[UNIT].splitlines()
    # It listens to nothing else.
    assert not any(row.startswith("KillSignal=") for row in rows), "at SIGINT it may hang"
    assert "ExecStopPost=-/usr/sbin/ip address del 10.1.1.3/24 dev eth1" in rows
    assert "Restart=always" in rows and "StartLimitIntervalSec=0" in rows


def test_when_patroni_ends_the_program_starts_anew_without_the_address(files):
    row = "ExecStopPost=-+/usr/bin/systemctl --no-block try-restart vip-manager.service"
    assert row in files()[PATRONI_UNIT].splitlines()


def test_all_that_is_made_is_known_to_removal(files):
    gone = vipmanager.gone("patroni.service")
    assert [file.path for file in gone] == list(files())
    assert all(file.contents is None for file in gone)
