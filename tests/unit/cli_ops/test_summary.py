"""Declared and live members side by side, and connection strings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pigsty import summary, topology
from pigsty.clients.patroni import Cluster, Member

ROOT = Path(__file__).resolve().parents[3]
ONE, TWO, THREE = (f"10.10.10.{n}" for n in (11, 12, 13))


@pytest.fixture(scope="module")
def sandbox() -> topology.Topology:
    return topology.load(ROOT / "pillar/inventory/sandbox.yml")


def member(number: int, role: str = "replica", **more: Any) -> Member:
    known: dict[str, Any] = {
        "name": f"pg-test-{number}",
        "host": f"10.10.10.{10 + number}",
        "port": 5432,
        "role": role,
        "state": "running" if role == "leader" else "streaming",
        "timeline": 3,
        "lag": None if role == "leader" else 0,
        "pending_restart": False,
        "tags": {},
    }
    return Member(**{**known, **more})


VIEW = Cluster(members=(member(1), member(2, "leader"), member(3)), paused=False)


def rows(sandbox: topology.Topology, answers: dict[str, Cluster | None]) -> dict[str, Any]:
    found = summary.members(sandbox.pg_clusters["pg-test"], answers)
    return {row.member: row for row in found}


def test_the_live_role_stands_beside_the_declared_one(sandbox: topology.Topology) -> None:
    found = rows(sandbox, dict.fromkeys((ONE, TWO, THREE), VIEW))
    assert {name: (row.declared, row.role) for name, row in found.items()} == {
        "pg-test-1": ("primary", "replica"),
        "pg-test-2": ("replica", "primary"),
        "pg-test-3": ("replica", "replica"),
    }


def test_a_dead_member_is_unreachable_whatever_the_dcs_still_says(
    sandbox: topology.Topology,
) -> None:
    old = Cluster(members=(member(1, "leader"), member(2), member(3)), paused=False)
    found = rows(sandbox, {ONE: None, TWO: old, THREE: old})
    assert (found["pg-test-1"].role, found["pg-test-1"].state) == ("", "unreachable")
    assert found["pg-test-2"].state == "streaming"


def test_all_members_down_is_still_a_list(sandbox: topology.Topology) -> None:
    found = rows(sandbox, {ONE: None, TWO: None, THREE: None})
    assert len(found) == 3
    assert {row.state for row in found.values()} == {"unreachable"}


def test_a_member_that_answers_but_is_not_in_the_cluster_is_absent(
    sandbox: topology.Topology,
) -> None:
    without = Cluster(members=VIEW.members[1:], paused=False)
    found = rows(sandbox, {ONE: without, TWO: without, THREE: without})
    assert found["pg-test-1"].state == "absent"


def test_a_member_that_the_inventory_lacks_is_shown(sandbox: topology.Topology) -> None:
    more = Cluster(members=(*VIEW.members, member(9)), paused=False)
    found = rows(sandbox, dict.fromkeys((ONE, TWO, THREE), more))
    assert (found["pg-test-9"].declared, found["pg-test-9"].state) == ("", "streaming")


def test_the_newest_view_counts(sandbox: topology.Topology) -> None:
    old = (member(1, "leader", timeline=2), member(2, timeline=2))
    stale = Cluster(members=old, paused=False)
    headless = Cluster(members=(member(1, timeline=9),), paused=False)
    found = rows(sandbox, {ONE: stale, TWO: VIEW, THREE: headless})
    assert found["pg-test-2"].role == "primary"
    assert summary.newest(iter(())) is None


@pytest.mark.parametrize("role", ["sync_standby", "quorum_standby", "standby_leader"])
def test_other_roles_keep_their_names(sandbox: topology.Topology, role: str) -> None:
    view = Cluster(members=(member(1, role),), paused=False)
    assert rows(sandbox, {ONE: view, TWO: None, THREE: None})["pg-test-1"].role == role


def test_a_connection_for_each_service(sandbox: topology.Topology) -> None:
    found = summary.connections(sandbox, sandbox.pg_clusters["pg-test"])
    assert {way.service: way.port for way in found} == {
        "primary": 5433,
        "replica": 5434,
        "default": 5436,
        "offline": 5438,
    }
    url = next(way.url for way in found if way.service == "primary")
    assert url == "postgres://test:test@10.10.10.11:5433,10.10.10.12:5433,10.10.10.13:5433/test"


def test_a_service_without_a_server_is_not_offered(sandbox: topology.Topology) -> None:
    """pg-meta has one member, and none for offline queries: its port 5438 leads nowhere."""
    found = summary.connections(sandbox, sandbox.pg_clusters["pg-meta"])
    assert [way.service for way in found] == ["primary", "replica", "default"]


INVENTORY = """
all:
  vars: {{ admin_ip: 10.9.9.1, pigsty_profile: "{profile}" }}
  children:
    infra: {{ hosts: {{ 10.9.9.1: {{ infra_seq: 1 }} }} }}
    etcd: {{ hosts: {{ 10.9.9.1: {{ etcd_seq: 1 }} }}, vars: {{ etcd_cluster: etcd }} }}
    pg-a:
      vars:
        pg_cluster: pg-a
        pg_users: [{{ name: "app@x", password: "p/w:1@" }}, {{ name: ro, login: false }}]
        pg_databases: [{{ name: app, owner: "app@x" }}, {{ name: old, state: absent }}]
        pg_services: [{{ name: standby, port: 5435, selector: '[]' }}]
      hosts: {{ 10.9.9.1: {{ pg_seq: 1, pg_role: primary }} }}
"""


def ways(tmp_path: Path, profile: str) -> dict[str, str]:
    file = tmp_path / f"{profile}.yml"
    file.write_text(INVENTORY.format(profile=profile), encoding="utf-8")
    found = topology.load(file)
    connections = summary.connections(found, found.pg_clusters["pg-a"])
    assert {way.database for way in connections} == {"app"}
    return {way.service: way.url for way in connections}


def test_a_password_stands_only_in_the_sandbox_and_is_quoted(tmp_path: Path) -> None:
    url = ways(tmp_path, "sandbox")["primary"]
    assert url == "postgres://app%40x:p%2Fw%3A1%40@10.9.9.1:5433/app"


def test_elsewhere_no_password_is_shown(tmp_path: Path) -> None:
    found = ways(tmp_path, "production")
    assert found["primary"] == "postgres://app%40x@10.9.9.1:5433/app"
    assert not any("p%2Fw" in url for url in found.values())


def test_services_of_the_cluster_itself_are_there(tmp_path: Path) -> None:
    assert ways(tmp_path, "sandbox")["standby"].endswith(":5435/app")
