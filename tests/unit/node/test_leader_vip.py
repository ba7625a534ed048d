"""The state of vip-manager: configured, running with what it has read, or gone."""

from __future__ import annotations

import pytest

from pigsty.render import vipmanager

UNIT = vipmanager.UNIT
DROP_IN, BESIDE = (
    "/etc/systemd/system/vip-manager.service.d/pigsty.conf",
    "/etc/systemd/system/patroni.service.d/pigsty-vip.conf",
)
VIP = {
    "address": "10.10.10.3",
    "authorities": "/pg/cert/ca.crt",
    "interface": "auto",
    "ip": "10.10.10.11",
    "length": 24,
    "patroni": "https://10.10.10.11:8008",
    "patroni_unit": "patroni.service",
}


class Loaded:
    """What the daemon has read, as ``pigsty_loaded`` tells it."""

    def __init__(self):
        self.old = False
        self.asked = ()

    def stale(self, key, pid, paths):
        self.asked = tuple(paths)
        return self.old

    def mark(self, key, paths):
        self.old = False


@pytest.fixture
def loaded(machine):
    found = Loaded()
    machine.salt["pigsty_loaded.stale"], machine.salt["pigsty_loaded.mark"] = (
        found.stale,
        found.mark,
    )
    return found


def _declare(machine, vip):
    platform = {"patroni_unit": "patroni.service"}
    machine.pillar["pigsty"]["pgsql"] = {"vip": vip, "platform": platform}


@pytest.fixture
def vip(machine, loaded):
    machine.grains["ip4_interfaces"] = {"lo": ["127.0.0.1"], "host0": ["10.10.10.11"]}
    machine.units.install(UNIT, "inactive", "disabled")
    _declare(machine, dict(VIP))
    return machine.module("_states", "pigsty_vip")


def test_it_is_configured_enabled_and_started_in_this_order(machine, vip):
    changes = machine.converges(vip.leader)
    assert set(changes) == {vipmanager.CONF, DROP_IN, BESIDE, UNIT}
    assert "interface: host0" in machine.files.texts[vipmanager.CONF]
    # With the package's own ExecStart it would take an address from its environment.
    assert machine.units.done == [("daemon-reload", ""), ("enabled", UNIT), ("active", UNIT)]


def test_an_interface_that_is_named_is_taken(machine, vip):
    _declare(machine, {**VIP, "interface": "bond0"})
    machine.converges(vip.leader)
    assert "interface: bond0" in machine.files.texts[vipmanager.CONF]
    assert "dev bond0" in machine.files.texts[DROP_IN]


def test_a_node_whose_address_is_on_no_interface(machine, vip):
    machine.grains["ip4_interfaces"] = {}
    ret = vip.leader("s")
    assert ret["result"] is False and "set pg_vip_interface" in ret["comment"]


def test_another_address_restarts_it(machine, vip):
    machine.converges(vip.leader)
    machine.units.done.clear()
    _declare(machine, {**VIP, "address": "10.10.10.4"})
    machine.converges(vip.leader)
    assert machine.units.done == [("daemon-reload", ""), ("restart", UNIT)]


def test_new_authorities_restart_it(machine, vip, loaded):
    machine.converges(vip.leader)
    machine.units.done.clear()
    loaded.old = True
    changes = machine.converges(vip.leader)
    assert list(changes) == [UNIT] and "configuration" in changes[UNIT]
    assert loaded.asked == (vipmanager.CONF, "/pg/cert/ca.crt")
    assert ("restart", UNIT) in machine.units.done


def test_one_that_was_stopped_is_started_and_one_that_fell_out_of_the_boot_enabled(machine, vip):
    machine.converges(vip.leader)
    machine.units.install(UNIT, "inactive", "disabled")
    assert set(machine.converges(vip.leader)[UNIT]) == {"active", "enabled"}


def test_a_run_that_was_killed_between_file_and_restart_is_made_up_for(machine, vip):
    machine.converges(vip.leader)
    machine.units.done.clear()
    machine.units.owe(UNIT, "restart")
    machine.converges(vip.leader)
    assert ("restart", UNIT) in machine.units.done


def test_switched_off_nothing_of_it_is_left(machine, vip):
    machine.converges(vip.leader)
    machine.units.done.clear()
    _declare(machine, None)
    machine.converges(vip.leader)
    assert not {vipmanager.CONF, DROP_IN, BESIDE} & set(machine.files.texts)
    known = machine.units.known[UNIT]
    assert (known["ActiveState"], known["UnitFileState"]) == ("inactive", "disabled")
    # It is stopped with the additions that still say how.
    assert machine.units.done[0] in [("enabled", UNIT), ("active", UNIT)]


def test_switched_off_with_a_restart_still_owed_it_is_not_started_again(machine, vip):
    machine.converges(vip.leader)
    machine.units.done.clear()
    machine.units.owe(UNIT, "restart")
    _declare(machine, None)
    machine.converges(vip.leader)
    assert ("restart", UNIT) not in machine.units.done
    assert not machine.units.debts


def test_the_file_that_says_ours_is_the_last_to_go(machine, vip, monkeypatch):
    machine.converges(vip.leader)
    _declare(machine, None)
    order = []
    real = machine.files.converge

    def converge(files):
        order.extend(file.path for file in files)
        return real(files)

    machine.salt["pigsty_file.converge"] = converge
    machine.converges(vip.leader)
    assert order[-1] == vipmanager.CONF


def test_a_vip_manager_of_somebody_else_is_left_alone(machine, vip):
    machine.files.texts[vipmanager.CONF] = "ip: 10.10.10.77\n"
    machine.units.install(UNIT, "active", "enabled")
    _declare(machine, None)
    assert machine.converges(vip.leader) == {}
    assert machine.units.done == []
