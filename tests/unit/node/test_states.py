"""The states of a node, on a machine in memory: tested, applied, applied again."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.errors import PigstyError
from pigsty.render import firewall, keepalived, record
from pigsty.render.record import Record


@pytest.fixture
def node(machine):
    return machine.module("_states", "pigsty_node")


def test_a_state_that_does_not_get_there_has_failed():
    ret = converge("s", "it", lambda: {"x": 1}, lambda changes: None, test=False)
    assert ret["result"] is False
    assert "still different afterwards: x" in ret["comment"]


@pytest.mark.parametrize("error", [PigstyError("why"), CommandExecutionError("why")])
def test_an_expected_error_is_a_failure_with_its_text(error):
    def act(changes):
        raise error

    errors = (CommandExecutionError,)
    ret = converge("s", "it", lambda: {"x": 1}, act, test=False, errors=errors)
    assert (ret["result"], ret["comment"]) == (False, "it: why")


def test_a_defect_of_ours_is_not_hidden():
    def act(changes):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        converge("s", "it", lambda: {"x": 1}, act, test=False)


@pytest.fixture
def hostname(machine, node, monkeypatch):
    """A kernel with a host name."""
    now = {"name": "box"}
    monkeypatch.setattr(node.socket, "gethostname", lambda: now["name"])
    monkeypatch.setattr(node.socket, "sethostname", lambda name: now.update(name=name))
    machine.files.texts["/etc/hostname"] = "box\n"
    return now


def test_a_name_is_set_now_and_for_the_next_boot(machine, node, hostname):
    machine.node(nodename="pg-test-1", nodename_overwrite=True)
    assert machine.converges(node.named)["name"] == {"old": "box", "new": "pg-test-1"}
    assert hostname["name"] == "pg-test-1"
    assert machine.files.texts["/etc/hostname"] == "pg-test-1\n"


@pytest.mark.parametrize(("name", "overwrite"), [("", True), ("pg-test-1", False)])
def test_a_name_that_is_not_asked_for_is_not_changed(machine, node, hostname, name, overwrite):
    machine.node(nodename=name, nodename_overwrite=overwrite)
    assert machine.converges(node.named) == {}
    assert hostname["name"] == "box"


def test_hosts_keep_other_lines(machine, node):
    machine.files.texts["/etc/hosts"] = "127.0.0.1 localhost\n10.0.0.7 printer\n"
    machine.node(hosts=["10.10.10.11 pg-test-1"])
    machine.converges(node.hosts)
    assert "10.0.0.7 printer\n" in machine.files.texts["/etc/hosts"]
    assert "10.10.10.11 pg-test-1\n" in machine.files.texts["/etc/hosts"]


def test_hosts_that_are_not_ours(machine, node):
    machine.files.texts["/etc/hosts"] = "127.0.0.1 localhost\n"
    machine.node(hosts=None)
    assert machine.converges(node.hosts) == {}


DNS = {"method": "add", "servers": ["10.0.0.1"], "options": [], "withheld": []}


@pytest.fixture
def resolver(machine, node, tmp_path, monkeypatch):
    """A machine whose resolver is a plain file."""
    monkeypatch.setattr(node, "RESOLVER", str(tmp_path / "resolv.conf"))
    monkeypatch.setattr(node, "NETWORK_MANAGER", str(tmp_path / "nm/pigsty.conf"))
    machine.files.texts[node.RESOLVER] = "nameserver 1.1.1.1\n"
    machine.node(dns=dict(DNS), node_static_network=True)
    return node


def test_the_resolver_gets_our_server_first_and_gives_it_back(machine, resolver):
    machine.converges(resolver.resolver)
    text = machine.files.texts[resolver.RESOLVER]
    assert text.index("nameserver 10.0.0.1") < text.index("nameserver 1.1.1.1")
    machine.node(dns={**DNS, "method": "none", "servers": []})
    machine.converges(resolver.resolver)
    assert machine.files.texts[resolver.RESOLVER] == "nameserver 1.1.1.1\n"


def test_a_server_that_does_not_serve_leaves_the_resolver_alone(machine, resolver):
    machine.node(dns={**DNS, "method": "none", "servers": [], "withheld": ["10.10.10.10"]})
    assert machine.converges(resolver.resolver) == {}
    notes = machine.salt["pigsty_note.notes"]()
    assert "10.10.10.10" in notes["name servers"][0] and len(notes["name servers"]) == 1


def test_network_manager_is_told_to_keep_off(machine, resolver):
    Path(resolver.NETWORK_MANAGER).parent.mkdir()
    machine.converges(resolver.resolver)
    assert "dns=none" in machine.files.texts[resolver.NETWORK_MANAGER]
    assert ("reload", "NetworkManager.service") in machine.units.done


def test_a_link_of_somebody_else_is_not_replaced(machine, resolver, tmp_path):
    (tmp_path / "other").write_text("")
    Path(resolver.RESOLVER).symlink_to(tmp_path / "other")
    assert machine.converges(resolver.resolver) == {}


def test_systemd_resolved_gets_a_drop_in(machine, resolver, tmp_path):
    stub = tmp_path / "systemd/resolve/stub"
    stub.parent.mkdir(parents=True)
    stub.write_text("")
    Path(resolver.RESOLVER).symlink_to(stub)
    machine.converges(resolver.resolver)
    assert "DNS=10.0.0.1" in machine.files.texts[resolver.RESOLVED]
    assert ("restart", "systemd-resolved.service") in machine.units.done


PEM = "-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n"


def test_trust_is_complete_only_with_the_bundle(machine, node):
    machine.pillar["pigsty"]["meta"]["ca"] = PEM
    trust = {"anchor": "/anchor.crt", "bundle": "/bundle", "command": ["update"]}
    machine.node(trust=trust)

    def run(command):
        assert command == ["update"]
        # Other programs wrap the text differently.
        machine.files.texts["/bundle"] = "# others\n" + PEM.replace("AAAA\nBBBB", "AAAABBBB")

    machine.salt["pigsty_command.run"] = run
    assert set(machine.converges(node.trusts_ca)) == {"/etc/pki/ca.crt", "/anchor.crt", "bundle"}
    machine.files.texts["/bundle"] = "# others\n"
    assert set(machine.converges(node.trusts_ca)) == {"bundle"}


def test_a_second_ca_has_a_file_of_its_own_and_goes_again(machine, node):
    other = PEM.replace("AAAA", "CCCC")
    machine.pillar["pigsty"]["meta"]["ca"] = PEM + other
    trust = {"anchor": "/trust/ca.crt", "bundle": "/bundle", "command": ["update"]}
    machine.node(trust=trust)
    texts = machine.files.texts

    def run(_command):
        texts["/bundle"] = "".join(t for path, t in texts.items() if path.startswith("/trust/"))

    machine.salt["pigsty_command.run"] = run
    machine.converges(node.trusts_ca)
    assert (texts["/etc/pki/ca.crt"], texts["/bundle"]) == (PEM + other, PEM + other)
    machine.pillar["pigsty"]["meta"]["ca"] = other
    machine.converges(node.trusts_ca)
    assert (texts["/etc/pki/ca.crt"], texts["/bundle"]) == (other, other)


def test_aliases_are_quoted(machine, node):
    machine.node(node_aliases={"x": "echo 'a b'; rm -rf /tmp/x"}, node_data="/data")
    assert "/data" in machine.converges(node.environment)
    line = [r for r in machine.files.texts[node.PROFILE].splitlines() if r.startswith("alias")]
    assert line == ["""alias x='echo '"'"'a b'"'"'; rm -rf /tmp/x'"""]


STOCK = ["SHELL=/bin/sh", "PATH=/bin", "17 * * * * root true"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_crontab_that_is_emptied_is_the_systems_own_again(machine, node, overwrite):
    machine.files.texts[node.CRONTAB] = "\n".join(STOCK) + "\n"
    line = "0 1 * * * postgres backup"
    machine.node(crontab={"lines": [line], "overwrite": overwrite, "stock": STOCK})
    machine.converges(node.crontab)
    assert line in machine.files.texts[node.CRONTAB]
    assert (STOCK[2] in machine.files.texts[node.CRONTAB]) is not overwrite
    machine.node(crontab={"lines": [], "overwrite": overwrite, "stock": STOCK})
    machine.converges(node.crontab)
    assert machine.files.texts[node.CRONTAB] == "\n".join(STOCK) + "\n"


def test_a_crontab_that_was_never_ours_is_left_alone(machine, node):
    machine.files.texts[node.CRONTAB] = "mine\n"
    machine.node(crontab={"lines": [], "overwrite": True, "stock": STOCK})
    assert machine.converges(node.crontab) == {}


def test_going_from_overwriting_to_appending_brings_the_stock_lines_back(machine, node):
    machine.files.texts[node.CRONTAB] = "old\n"
    cron = {"lines": ["0 1 * * * root a"], "overwrite": True, "stock": STOCK}
    machine.node(crontab=cron)
    machine.converges(node.crontab)
    machine.node(crontab={**cron, "overwrite": False})
    machine.converges(node.crontab)
    assert machine.files.texts[node.CRONTAB].count("0 1 * * * root a") == 1
    assert STOCK[2] in machine.files.texts[node.CRONTAB]


def test_what_was_left_out_is_one_warning(machine, node):
    assert "warnings" not in node.left_out("s")
    for topic, text in (("b", "two"), ("a", "one"), ("b", "two"), ("b", "three")):
        machine.salt["pigsty_note.add"](topic, text)
    ret = node.left_out("s")
    assert ret["warnings"] == ["left out on this machine: a: one; b: two, three"]
    assert (ret["result"], ret["changes"]) == (True, {})


def test_a_member_that_the_inventory_has_no_more_is_said_and_left_alone(machine, node):
    fields = dict.fromkeys(Record.__dataclass_fields__, "")
    member = Record(**{**fields, "cluster": "pg-test", "instance": "pg-test-3", "packages": ()})
    machine.files.texts[record.PATH] = member.text()
    (sentence,) = node.left_out("s")["warnings"]
    assert "pg-test-3 lives here" in sentence and "pigsty pgsql rm pg-test pg-test-3" in sentence
    machine.pillar["pigsty"]["pgsql"] = {}
    assert "warnings" not in node.left_out("s")


ADMIN = {
    "gid": 88,
    "group": "admin",
    "keys": ["ssh-ed25519 AAAA a"],
    "name": "dba",
    "private_key": "token-private\n",
    "public_key": "ssh-ed25519 BBBB dba@x",
    "sudo": "dba ALL=(ALL:ALL) NOPASSWD: ALL\n",
    "uid": 88,
}


@pytest.fixture
def admin(machine, monkeypatch):
    module = machine.module("_states", "pigsty_admin")
    monkeypatch.setattr(module, "_check_sudoers", lambda rule: None)
    monkeypatch.setattr(module.pwd, "getpwnam", lambda name: (_ for _ in ()).throw(KeyError(name)))
    machine.node(admin=dict(ADMIN))
    return module


def test_access_keeps_keys_of_persons_and_hides_ours(machine, admin):
    listed = "/home/dba/.ssh/authorized_keys"
    machine.files.texts[listed] = "ssh-rsa PERSON p\n"
    changes = machine.converges(admin.access)
    assert "token-private" not in str(changes)
    assert "ssh-rsa PERSON p" in machine.files.texts[listed]
    assert "ssh-ed25519 AAAA a" in machine.files.texts[listed]
    assert machine.files.modes["/home/dba/.ssh/id_pigsty"] == ("0600", "dba", "admin")
    assert machine.files.modes["/etc/sudoers.d/pigsty-admin"][0] == "0440"


def test_a_key_that_is_no_longer_listed_goes(machine, admin):
    machine.converges(admin.access)
    machine.node(admin={**ADMIN, "keys": []})
    machine.converges(admin.access)
    assert "AAAA" not in machine.files.texts["/home/dba/.ssh/authorized_keys"]


def test_no_admin_no_sudo(machine, admin):
    machine.converges(admin.access)
    machine.node(admin=None)
    machine.converges(admin.access)
    assert "/etc/sudoers.d/pigsty-admin" not in machine.files.texts


def test_a_rule_that_sudo_refuses_is_not_installed(machine, admin, monkeypatch):
    def refuse(rule):
        raise CommandExecutionError("sudo refuses the rule: syntax error")

    monkeypatch.setattr(admin, "_check_sudoers", refuse)
    assert admin.access("s")["result"] is False
    assert machine.files.texts == {}


def test_without_exchange_a_key_is_generated_once(machine, loader, tmp_path):
    module = machine.module("_states", "pigsty_admin")
    module._check_sudoers = lambda rule: None
    home = pwd.struct_passwd(("dba", "x", 88, 88, "", str(tmp_path), "/bin/sh"))
    module.pwd = type("pwd", (), {"getpwnam": staticmethod(lambda name: home)})
    machine.node(admin={**ADMIN, "private_key": None, "public_key": None})
    real = machine.salt["pigsty_file.converge"]

    def write(files):
        found = real(files)
        for path in found:
            if path.endswith("id_pigsty"):
                Path(path).parent.mkdir(exist_ok=True)
                Path(path).write_text(machine.files.texts[path])
        return found

    machine.salt["pigsty_file.converge"] = write
    assert {"key": "generated"} in machine.converges(module.access).values()
    assert "OPENSSH PRIVATE KEY" in (tmp_path / ".ssh/id_pigsty").read_text()


NTP = {"conf": "/etc/chrony/chrony.conf", "text": "pool x\n", "unit": "chrony.service"}


@pytest.fixture
def clock(machine, tmp_path, monkeypatch):
    module = machine.module("_states", "pigsty_clock")
    zones = tmp_path / "zoneinfo"
    (zones / "Europe").mkdir(parents=True)
    for name in ("UTC", "Europe/Berlin"):
        (zones / name).write_text("")
    localtime = tmp_path / "localtime"
    localtime.symlink_to(zones / "UTC")
    monkeypatch.setattr(module, "ZONES", zones)
    monkeypatch.setattr(module, "LOCALTIME", localtime)
    machine.units.install("chrony.service", "active", "enabled")
    machine.node(node_timezone="", ntp=dict(NTP))
    return module


def test_the_time_zone_is_set_once(machine, clock):
    machine.node(node_timezone="Europe/Berlin")
    changes = machine.converges(clock.set_up)
    assert changes["timezone"] == {"old": "UTC", "new": "Europe/Berlin"}
    assert machine.files.texts["/etc/timezone"] == "Europe/Berlin\n"


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../../etc/passwd", "Europe"])
def test_a_time_zone_that_is_none_is_a_failure(machine, clock, zone):
    machine.node(node_timezone=zone)
    ret = clock.set_up("s")
    assert ret["result"] is False
    assert "there is no time zone" in ret["comment"]


def test_chrony_is_restarted_for_its_configuration_alone(machine, clock):
    machine.converges(clock.set_up)
    assert machine.units.done == [("restart", "chrony.service")]


def test_a_restart_that_was_cut_off_is_made_up_for(machine, clock):
    machine.converges(clock.set_up)
    machine.units.debts["chrony.service"] = "restart"
    changes = machine.converges(clock.set_up)
    assert list(changes) == ["chrony.service"]
    assert machine.units.done.count(("restart", "chrony.service")) == 2


def test_a_machine_that_may_not_set_its_clock_runs_no_chrony(machine, clock):
    machine.salt["pigsty_kernel.allows"] = lambda what: False
    machine.units.install("chrony.service", "inactive", "disabled")
    changes = machine.converges(clock.set_up)
    assert set(changes["chrony.service"]) == {"enabled"}
    assert list(machine.salt["pigsty_note.notes"]()) == ["clock"]


def test_no_ntp_no_chrony(machine, clock):
    machine.node(ntp=None)
    assert machine.converges(clock.set_up) == {}


VIP = {
    "address": "10.10.10.99",
    "interface": "auto",
    "ip": "10.10.10.11",
    "password": "token-01",
    "peers": ["10.10.10.12"],
    "preempt": False,
    "role": "master",
    "router": "n",
    "vrid": 99,
}


@pytest.fixture
def vip(machine):
    machine.grains["ip4_interfaces"] = {"lo": ["127.0.0.1"], "host0": ["10.10.10.11"]}
    machine.units.install(keepalived.UNIT, "inactive", "enabled")
    machine.node(vip=dict(VIP))
    return machine.module("_states", "pigsty_vip")


def test_the_interface_is_the_one_with_the_address(machine, vip):
    changes = machine.converges(vip.floating)
    assert "interface host0" in machine.files.texts[keepalived.CONF]
    assert "token-01" not in str(changes)
    assert machine.files.modes[keepalived.CONF][0] == "0640"
    assert machine.units.known[keepalived.UNIT]["ActiveState"] == "active"


def test_a_change_reloads(machine, vip):
    machine.converges(vip.floating)
    machine.node(vip={**VIP, "peers": ["10.10.10.13"]})
    machine.units.done.clear()
    machine.converges(vip.floating)
    assert machine.units.done == [("daemon-reload", ""), ("reload", keepalived.UNIT)]


def test_its_unit_is_known_with_our_additions_before_it_starts(machine, vip):
    changes = machine.converges(vip.floating)
    assert set(changes) == {f.path for f in keepalived.files(VIP, "host0")} | {keepalived.UNIT}
    assert machine.units.done[0] == ("daemon-reload", "")
    assert machine.files.modes[keepalived.NOTIFY][0] == "0755"


def test_an_address_that_no_interface_has(machine, vip):
    machine.grains["ip4_interfaces"] = {}
    ret = vip.floating("s")
    assert ret["result"] is False and "set vip_interface" in ret["comment"]


def test_a_floating_address_that_is_taken_away(machine, vip):
    machine.converges(vip.floating)
    # What the program has written meanwhile, and what it writes when the daemon ends.
    machine.files.texts |= {keepalived.METRICS: "keepalived_up 1", keepalived.MEMORY: "MASTER 1 0"}
    machine.node(vip=None)
    changes = machine.converges(vip.floating)
    assert set(changes) == {f.path for f in keepalived.gone()} | {keepalived.UNIT}
    assert not {f.path for f in keepalived.gone()} & set(machine.files.texts)
    assert machine.units.known[keepalived.UNIT]["ActiveState"] == "inactive"


def test_a_keepalived_of_somebody_else_is_left_alone(machine, vip):
    machine.files.texts[keepalived.CONF] = "# mine\n"
    machine.units.install(keepalived.UNIT, "active", "enabled")
    machine.node(vip=None)
    assert machine.converges(vip.floating) == {}


@pytest.fixture
def filtered(machine):
    module = machine.module("_states", "pigsty_firewall")
    machine.salt["pigsty_command.run"] = lambda command, stdin: None
    real = machine.units.act

    def act(verb, *units):
        real(verb, *units)
        if firewall.UNIT_FILE in machine.files.texts:
            if firewall.UNIT not in machine.units.known:
                machine.units.install(firewall.UNIT)
        else:
            machine.units.known.pop(firewall.UNIT, None)

    machine.salt["pigsty_systemd.act"] = act
    machine.node(firewall={"mode": "zone", "rules": "table a\n"})
    return module.filtered


def test_the_filter_comes_changes_and_goes(machine, filtered):
    machine.converges(filtered)
    assert machine.units.known[firewall.UNIT]["ActiveState"] == "active"
    machine.node(firewall={"mode": "zone", "rules": "table b\n"})
    machine.units.done.clear()
    machine.converges(filtered)
    assert machine.units.done == [("reload", firewall.UNIT)]
    machine.node(firewall={"mode": "none", "rules": None})
    machine.converges(filtered)
    assert firewall.RULES not in machine.files.texts
    assert firewall.UNIT not in machine.units.known


def test_two_filters_at_a_time_are_one_too_many(machine, filtered):
    machine.units.install("ufw.service", "active", "enabled")
    changes = machine.converges(filtered)
    assert changes["ufw.service"]["active"]["new"] == "inactive"


def test_the_operators_filter_is_left_alone(machine, filtered):
    machine.units.install("ufw.service", "active", "enabled")
    machine.node(firewall={"mode": "none", "rules": None})
    assert machine.converges(filtered) == {}


def test_off_stops_the_others(machine, filtered):
    machine.units.install("firewalld.service", "active", "enabled")
    machine.node(firewall={"mode": "off", "rules": None})
    assert "firewalld.service" in machine.converges(filtered)
