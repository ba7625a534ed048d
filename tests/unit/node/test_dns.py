"""Names: what infra nodes answer, where a cluster's name leads, and the state that keeps it so."""

from __future__ import annotations

from typing import Any

import pytest

from pigsty.render import dns

CLUSTER = {
    "members": {"pg-a-1": "10.1.1.2", "pg-a-2": "10.1.1.3"},
    "names": ["pg-a.db", "pg-a"],
    "port": 8008,
    "primary": "pg-a-1",
    "tls": True,
}
SPEC = {
    "clusters": {"pg-a": CLUSTER},
    "enabled": True,
    "listen": ["10.1.1.1"],
    "port": 53,
    "records": {"default": "# Managed by Pigsty: edit pigsty.yml, not this file.\n10.1.1.1 i.x\n"},
}
FILE = f"{dns.FOLDER}/pg-a"


def test_dnsmasq_answers_on_its_addresses_and_asks_the_machines_servers():
    text = dns.conf(53, ["10.1.1.1", "10.1.1.9", "127.0.0.1"], dns.RESOLV)
    assert text.count("listen-address=") == 3
    assert "\nbind-dynamic\n" in text
    assert f"\nresolv-file={dns.RESOLV}\n" in text
    assert "\nno-hosts\n" in text


@pytest.mark.parametrize(
    ("claims", "leader"),
    [
        ([], ""),
        ([("a", "")], ""),
        ([("a", "a"), ("b", "a")], "a"),
        # One that is cut off still says that it leads.
        ([("a", "a"), ("b", "b"), ("c", "b")], "b"),
        # Of two, the other doesn't know yet that it follows.
        ([("a", "b"), ("b", "b"), ("c", "a"), ("d", "a")], "b"),
        ([("a", "a"), ("b", "b")], ""),
        ([("a", ""), ("b", "b")], "b"),
    ],
)
def test_who_leads_by_what_the_members_say(claims, leader):
    assert dns.elected(claims) == leader


@pytest.mark.parametrize(
    ("leader", "now", "wanted"),
    [
        ("pg-a-2", "10.1.1.2", "10.1.1.3"),
        ("", "10.1.1.3", "10.1.1.3"),
        ("", "", "10.1.1.2"),
        ("", "10.9.9.9", "10.1.1.2"),
        ("stranger", "10.1.1.3", "10.1.1.3"),
    ],
)
def test_where_a_clusters_name_leads(leader, now, wanted):
    assert dns.target(CLUSTER, leader, now) == wanted
    assert dns.target({**CLUSTER, "primary": ""}, "", "") == ""


def test_addresses_of_a_file_that_people_wrote_too():
    assert dns.addresses("# x\n10.0.0.1 a b # c\n\nbroken\n") == ["10.0.0.1"]


@pytest.fixture
def state(machine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """The state of the names on an infra node with dnsmasq, where pg-a-1 leads."""
    daemons = machine.module("_modules", "pigsty_daemon")
    machine.salt |= {"pigsty_daemon.plan": daemons.plan, "pigsty_daemon.enact": daemons.enact}
    machine.salt["pigsty_systemd.exists"] = lambda unit: unit in machine.units.known
    machine.leader = "pg-a-1"
    machine.salt["pigsty_dns.leaders"] = lambda clusters: dict.fromkeys(clusters, machine.leader)
    machine.units.install(dns.UNIT, active="active", enabled="enabled")
    machine.pillar["pigsty"]["infra"] = {"dns": SPEC}
    module = machine.module("_states", "pigsty_dns")
    # The folder's names are looked up on the disk.
    monkeypatch.setattr(dns, "FOLDER", str(tmp_path))
    monkeypatch.setattr(f"{__name__}.FILE", f"{tmp_path}/pg-a")
    return module


def test_the_name_follows_the_leader_and_dnsmasq_is_left_alone(machine, state):
    machine.converges(state.served)
    assert machine.files.texts[FILE].endswith("\n10.1.1.2 pg-a.db pg-a\n")
    machine.units.done.clear()
    machine.leader = "pg-a-2"
    assert list(machine.converges(state.served)) == [FILE]
    assert machine.files.texts[FILE].endswith("\n10.1.1.3 pg-a.db pg-a\n")
    assert machine.units.done == [], "it sees the file by itself"


def test_while_nobody_leads_the_name_stays_where_it_was(machine, state):
    machine.leader = "pg-a-2"
    machine.converges(state.served)
    machine.leader = ""
    assert machine.converges(state.served) == {}


def test_what_left_the_inventory_goes_and_what_people_wrote_stays(machine, state, tmp_path):
    machine.converges(state.served)
    old, own = tmp_path / "pg-old", tmp_path / "mine"
    for path, text in ((old, dns.record("10.1.1.7", ["pg-old"])), (own, "10.7.7.7 mine\n")):
        path.write_text(text)
        machine.files.texts[str(path)] = text
    first = state.served("state")
    assert first["result"], first["comment"]
    assert list(first["changes"]) == [str(old)]
    assert str(old) not in machine.files.texts
    assert machine.files.texts[str(own)] == "10.7.7.7 mine\n"


def test_the_configuration_is_there_before_the_package_and_no_business_of_it_later(machine, state):
    machine.units.known.clear()
    assert list(machine.converges(state.prepared)) == [dns.CONF]
    machine.units.install(dns.UNIT, active="active", enabled="enabled")
    machine.files.texts[dns.CONF] = "older"
    assert machine.converges(state.prepared) == {}
    changes = machine.converges(state.served)
    assert changes[dns.UNIT]["configuration"]["new"] == "restart"


def test_without_dns_it_is_stopped(machine, state):
    machine.pillar["pigsty"]["infra"] = {"dns": {**SPEC, "enabled": False}}
    changes = machine.converges(state.served)
    assert changes[dns.UNIT]["active"]["new"] == "inactive"


def test_every_member_is_asked_and_the_dead_say_nothing(machine, monkeypatch):
    module = machine.module("_modules", "pigsty_dns")

    def said(patroni: Any) -> str | None:
        return {"10.1.1.2": None, "10.1.1.3": "pg-a-2"}[patroni.host]

    monkeypatch.setattr(module, "_leader", said)
    assert module.leaders({"pg-a": CLUSTER}) == {"pg-a": "pg-a-2"}
    assert module.leaders({}) == {}
