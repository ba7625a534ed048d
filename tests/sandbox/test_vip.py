"""A cluster's floating address: it is where the leader is, on one machine, and nowhere without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from edit import Inventory
from expect import Cluster, Dsn, eventually

ADDRESS = "10.10.10.3"
MEMBERS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")
UNIT = "vip-manager.service"
FILES = (
    "/etc/default/vip-manager.yml",
    "/etc/systemd/system/vip-manager.service.d/pigsty.conf",
    "/etc/systemd/system/patroni.service.d/pigsty-vip.conf",
)


@dataclass(frozen=True)
class Vip:
    """The floating address of pg-test, while it has one."""

    sandbox: Any
    cluster: Cluster
    inventory: Inventory
    dsn: Dsn

    def run(self, host: str, *command: str) -> str:
        """Return what a command in a member says, whatever its exit code."""
        _code, out, _err = self.sandbox.node(host).run(list(command))
        return str(out).strip()

    def holders(self, among: tuple[str, ...] = MEMBERS) -> list[str]:
        """Return the members that have the address."""
        shown = {host: self.run(host, "ip", "-4", "-oneline", "address", "show") for host in among}
        return [host for host, text in shown.items() if f" {ADDRESS}/" in text]

    def server(self) -> str:
        """Return the machine of the PostgreSQL that answers, directly, at the address."""
        assert not self.dsn.ask("SELECT pg_is_in_recovery()"), "a replica answers at the address"
        return str(self.dsn.ask("SELECT current_setting('cluster_name')"))

    def settles(self, deadline: str, among: tuple[str, ...] = MEMBERS) -> dict[str, Any]:
        """Return the leader once it, and no other machine, has the address and answers there."""

        def settled() -> dict[str, Any] | None:
            leader = self.cluster.leader()
            return leader if self.holders(among) == [leader["host"]] and self.server() else None

        found = eventually("the leader, and it alone, has the address", settled, deadline)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def _inventory(admin: Any) -> Iterator[Inventory]:
    found = Inventory(admin)
    yield found
    found.restore()


@pytest.fixture(scope="module")
def vip(sandbox: Any, pg_test: Cluster, _inventory: Inventory, test_dsn: Dsn) -> Vip:
    """pg-test with a floating address; the scenarios below come in the order of the file."""
    _inventory.cluster("pg-test", pg_vip_enabled=True, pg_vip_address=f"{ADDRESS}/24")
    _inventory.apply("pg-test")
    dsn = Dsn(ADDRESS, 5432, test_dsn.dbname, test_dsn.user, test_dsn.password)
    return Vip(sandbox, pg_test, _inventory, dsn)


def _services_lead_through(vip: Vip, leader: str) -> None:
    for port in (5433, 5436):
        dsn = Dsn(ADDRESS, port, vip.dsn.dbname, vip.dsn.user, vip.dsn.password)
        eventually(
            f"{ADDRESS}:{port} answers as primary",
            lambda dsn=dsn: dsn.ask("SELECT NOT pg_is_in_recovery()"),  # type: ignore[misc]
            "services settle",
        )
    assert vip.holders() == [leader]


def test_the_leader_answers_at_the_address_and_a_second_apply_changes_nothing(
    whole: Cluster, vip: Vip
) -> None:
    leader = vip.settles("address moves")
    assert vip.server() == "pg-test"
    _services_lead_through(vip, leader["host"])
    for host in MEMBERS:
        assert vip.run(host, "systemctl", "is-enabled", UNIT) == "enabled"
    assert vip.inventory.unchanged("pg-test")


def test_it_moves_with_a_switchover(admin: Any, whole: Cluster, vip: Vip, report: Any) -> None:
    old = vip.settles("address moves")
    admin.pigsty("pgsql", "switchover", whole.name, "--yes")
    began = time.monotonic()
    new = vip.settles("address moves")
    report("floating address: on the new leader after a switchover", time.monotonic() - began, "s")
    assert new["host"] != old["host"]
    _services_lead_through(vip, new["host"])
    # What depends on roles may change now; the address and its daemon depend on none.
    for changed in vip.inventory.apply("pg-test").values():
        assert "pgsql-vip" not in changed


def test_whoever_dies_it_stays_with_the_leader(whole: Cluster, vip: Vip) -> None:
    leader = vip.settles("address moves")["host"]
    # The program alone: its successor has to find the address again, and no other machine takes it.
    vip.run(leader, "systemctl", "kill", "--signal=SIGKILL", UNIT)
    assert vip.settles("address moves")["host"] == leader
    # Patroni alone, while PostgreSQL goes on: nobody says any more that this machine leads.
    vip.run(leader, "systemctl", "kill", "--signal=SIGKILL", "--kill-whom=main", "patroni")
    vip.settles("norm failover")


def test_it_moves_with_a_power_cut(sandbox: Any, whole: Cluster, vip: Vip, report: Any) -> None:
    old = vip.settles("address moves")["host"]
    others = tuple(host for host in MEMBERS if host != old)
    sandbox.node(old).kill()
    began = time.monotonic()
    try:
        new = vip.settles("norm failover", others)
        report("floating address: on a new leader after a power cut", time.monotonic() - began, "s")
    finally:
        sandbox.node(old).start()
    eventually("pg-test is whole", lambda: whole.healthy(3), "old primary is a replica again")
    assert vip.run(old, "systemctl", "is-active", UNIT) == "active"
    assert vip.holders() == [new["host"]]


def test_switched_off_it_leaves_nothing(whole: Cluster, vip: Vip) -> None:
    vip.settles("address moves")
    vip.inventory.cluster("pg-test", pg_vip_enabled=False)
    vip.inventory.apply("pg-test")
    assert vip.holders() == []
    for host in MEMBERS:
        assert vip.run(host, "systemctl", "is-enabled", UNIT) == "disabled"
        assert vip.run(host, "systemctl", "is-active", UNIT) == "inactive"
        assert vip.run(host, "ls", *FILES) == ""
