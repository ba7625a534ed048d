"""Which passwords are derived, which are declared, and in which order they are rotated."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pigsty import topology
from pigsty.pillar.site import Site
from pigsty.rotation import Rotation
from pigsty.targets import TargetError
from pigsty_cli import rotating, secrets
from pigsty_cli.errors import Refused

ROOT = Path(__file__).resolve().parents[3]
SITE = Site(key=bytes(32), ca="CA")
MEMBERS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")


@pytest.fixture
def inventory(tmp_path):
    """The sandbox's inventory without some of its passwords."""

    def make(*without):
        data = yaml.safe_load((ROOT / "pillar/inventory/sandbox.yml").read_text())
        for name in without:
            del data["all"]["vars"][name]
        file = tmp_path / "pigsty.yml"
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return topology.load(file)

    return make


def test_what_the_pillars_ask_for_is_derived_and_the_holders_are_known(inventory):
    found = {(e.name, e.scope): e for e in secrets.derived(inventory("patroni_password"), SITE)}
    assert found["patroni_password", "pg-test"].hosts == MEMBERS
    assert found["patroni_password", "pg-meta"].hosts == ("10.10.10.10",)
    # etcd's members make each cluster's user.
    assert found["pg_etcd_password", "pg-test"].hosts == ("10.10.10.10", *MEMBERS)
    assert ("pg_replication_password", "pg-test") not in found


def test_a_list_says_where_and_never_what(inventory):
    deployment = inventory()
    rows = secrets.rows(deployment, SITE)
    text = str(rows)
    for name in ("Patroni.API", "DBUser.Replicator", "Etcd.Root"):
        assert name not in text
    for entry in secrets.derived(deployment, SITE):
        assert SITE.secret(entry.scope, entry.name) not in text
    declared = next(row for row in rows if row["name"] == "pg_replication_password")
    assert declared["source"].startswith(f"{deployment.inventory.file}, line ")
    assert declared["source"].endswith(": all.vars.pg_replication_password")


def test_a_declared_password_is_refused_with_its_line(inventory):
    with pytest.raises(Refused, match=r"declared in .*line \d+.*change it there"):
        secrets.choose(inventory(), SITE, ["patroni_password"], [])


def test_a_fixed_one_is_refused_with_the_reason(inventory):
    with pytest.raises(Refused, match="key pair"):
        secrets.choose(inventory(), SITE, ["node_admin_ssh_key"], [])


def test_unknown_names_are_refused_with_the_nearest(inventory):
    with pytest.raises(TargetError, match="patroni_password"):
        secrets.choose(inventory(), SITE, ["patroni_pasword"], [])
    with pytest.raises(TargetError, match="pg-test"):
        secrets.choose(inventory(), SITE, ["pg_etcd_password"], ["pg-tst"])


def test_all_leaves_out_what_is_fixed(inventory):
    chosen = secrets.choose(inventory("patroni_password"), SITE, [], ["pg-test"])
    assert [(e.name, e.scope) for e in chosen] == [
        ("patroni_password", "pg-test"),
        ("pg_etcd_password", "pg-test"),
    ]


class Hands:
    """Notes what it is told to do; what is noted on the admin node at that moment, too."""

    def __init__(self, deployment, noted):
        self.topology, self.noted, self.log = deployment, noted, []

    def apply(self, hosts, modules=()):
        self.log.append(("apply", tuple(hosts), tuple(modules), dict(self.noted[-1].passwords)))

    def ask(self, hosts, function, deadline, **keywords):
        self.log.append((function.split(".")[1], tuple(hosts), keywords))


@pytest.fixture
def noted(monkeypatch):
    """The notes on the admin node."""
    notes = [Rotation()]
    monkeypatch.setattr(rotating, "note", notes.append)
    monkeypatch.setattr(rotating, "site", lambda: Site(key=bytes(32), ca="CA", rotation=notes[-1]))
    return notes


def test_patroni_knows_its_way_into_etcd_before_etcd_does(inventory, noted):
    deployment = inventory("patroni_password")
    hands = Hands(deployment, noted)
    chosen = secrets.choose(deployment, SITE, [], ["pg-test"])
    for one in secrets.rounds(chosen):
        secrets.carry_out(hands, one)
    first = {("pg-test", "patroni_password"): 2}
    both = {**first, ("pg-test", "pg_etcd_password"): 2}
    assert hands.log == [
        ("apply", MEMBERS, ("pgsql",), first),
        ("await_reload", MEMBERS, {}),
        ("apply", MEMBERS, ("pgsql",), both),
        ("await_reload", MEMBERS, {}),
        ("apply", ("10.10.10.10",), ("etcd",), both),
        ("await_reload", MEMBERS, {"again": True}),
    ]
