"""What an inventory declares: nodes, clusters, instances, and their names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pigsty import inventory, topology
from pigsty.topology import Topology
from pigsty.variables import Deployment


def build(text: str) -> Topology:
    """Return the topology of an inventory."""
    return topology.build(inventory.parse(text.encode()))


def node(variables: str) -> topology.Node:
    """Return the one node of an inventory."""
    return build(f"all: {{hosts: {{10.0.0.1: {{{variables}}}}}}}").nodes["10.0.0.1"]


class TestNodes:
    @pytest.mark.parametrize(
        ("variables", "name", "cluster"),
        [
            ("", "", "nodes"),
            ("nodename: n1", "n1", "nodes"),
            ("nodename: n1, node_cluster: web", "n1", "web"),
            ("pg_cluster: pg, pg_seq: 3", "pg-3", "pg"),
            ("pg_cluster: pg, pg_seq: 3, nodename: n1", "pg-3", "pg"),
            ("pg_cluster: pg, pg_seq: 3, nodename: n1, node_id_from_pg: false", "n1", "nodes"),
            ("pg_cluster: pg, pg_seq: 3, node_cluster: nodes", "pg-3", "pg"),
            ("pg_cluster: pg, pg_seq: 3, node_cluster: ''", "pg-3", "pg"),
            ("pg_cluster: pg, pg_seq: 3, node_cluster: own", "pg-3", "own"),
            ("pg_cluster: pg, nodename: n1", "n1", "pg"),
            ("pg_seq: 3, nodename: n1", "n1", "nodes"),
            ("pg_cluster: '{{ \"pg\" }}', pg_seq: '{{ 1 + 1 }}'", "pg-2", "pg"),
            ("pg_cluster: pg, pg_seq: 0", "pg-0", "pg"),
        ],
    )
    def test_name_and_cluster(self, variables: str, name: str, cluster: str) -> None:
        found = node(variables)
        assert (found.name, found.cluster) == (name, cluster)

    @pytest.mark.parametrize(
        ("variables", "modules"),
        [
            ("", ("node",)),
            ("infra_seq: 1", ("node", "infra")),
            ("etcd_seq: 0", ("node", "etcd")),
            ("pg_cluster: a, pg_seq: 1", ("node", "pgsql")),
            ("pg_cluster: a", ("node",)),
            ("pg_seq: 1", ("node",)),
            ("pg_cluster: a, pg_seq: x", ("node",)),
            ("pg_cluster: a, pg_seq: '{{ nowhere }}'", ("node",)),
            ("minio_seq: 1", ("node", "minio")),
            ("redis_cluster: r, redis_node: 1", ("node", "redis")),
            ("redis_node: 1", ("node",)),
            ("pg_cluster: a, pg_seq: 1, redis_cluster: r, redis_node: 1, minio_seq: 1, etcd_seq: 1,"
             " infra_seq: 1", ("node", "infra", "etcd", "minio", "redis", "pgsql")),
        ],
    )  # fmt: skip
    def test_modules(self, variables: str, modules: tuple[str, ...]) -> None:
        assert node(variables).modules == modules

    def test_declared_names_are_current_names(self) -> None:
        assert node("pg_fs_bkup: /b, nodename: x").declared == {"pg_fs_backup", "nodename"}

    def test_a_variable_that_nobody_knows_is_a_key_error(self) -> None:
        found = node("own: 1").vars
        assert found["own"] == 1
        assert found.get("nowhere", 5) == 5
        with pytest.raises(KeyError):
            found["nowhere"]

    def test_defaults_former_names_and_all_names(self) -> None:
        found = node("own: 1, pg_fs_bkup: /b").vars
        assert (found["pg_port"], found["pg_fs_bkup"], found["pg_fs_backup"]) == (5432, "/b", "/b")
        names = list(found)
        assert {"own", "pg_port", "pg_fs_backup"} < set(names)
        assert "pg_fs_bkup" not in names
        assert len(names) == len(set(names)) == len(found)


CLUSTERS = """
all:
  vars: {admin_ip: 10.0.0.1}
  children:
    infra: {hosts: {10.0.0.2: {infra_seq: 2}, 10.0.0.1: {infra_seq: 1}}}
    etcd:
      vars: {etcd_cluster: dcs}
      hosts: {10.0.0.3: {etcd_seq: 3}, 10.0.0.1: {etcd_seq: 1}, 10.0.0.2: {etcd_seq: 2}}
    pg-a:
      vars: {pg_cluster: pg-a}
      hosts:
        10.0.0.12: {pg_seq: 2, pg_role: replica}
        10.0.0.11: {pg_seq: 1, pg_role: primary}
        10.0.0.13: {pg_seq: 10, pg_role: replica, pg_offline_query: true}
        10.0.0.14: {pg_seq: 4, pg_role: offline}
    elsewhere:
      hosts: {10.0.0.15: {pg_cluster: pg-a, pg_seq: 5, pg_role: replica}}
    pg-b: {vars: {pg_cluster: pg-b}, hosts: {10.0.0.21: {pg_seq: 1}}}
    s3: {hosts: {10.0.0.31: {minio_seq: 1, minio_cluster: s3}}}
    cache:
      vars: {redis_cluster: cache}
      hosts: {10.0.0.32: {redis_node: 2}, 10.0.0.31: {redis_node: 1}}
"""


class TestClusters:
    def test_members_in_order_of_their_number_wherever_they_stand(self) -> None:
        found = build(CLUSTERS).pg_clusters["pg-a"]
        assert [m.name for m in found.members] == [
            "pg-a-1", "pg-a-2", "pg-a-4", "pg-a-5", "pg-a-10",
        ]  # fmt: skip
        assert [m.ip for m in found.members if m.offline] == ["10.0.0.14", "10.0.0.13"]
        assert found.primary is not None
        assert found.primary.ip == "10.0.0.11"

    def test_instances_by_address(self) -> None:
        found = build(CLUSTERS)
        instance = found.pg_instances["10.0.0.12"]
        assert (instance.cluster, instance.seq, instance.role) == ("pg-a", 2, "replica")
        assert instance.vars is found.nodes["10.0.0.12"].vars

    def test_no_primary_and_two_primaries_are_left_to_the_rules(self) -> None:
        found = build(CLUSTERS).pg_clusters["pg-b"]
        assert found.primary is None
        assert found.members[0].role == ""
        assert found.vars["pg_cluster"] == "pg-b"
        twice = build(
            CLUSTERS.replace("pg_seq: 2, pg_role: replica", "pg_seq: 1, pg_role: primary")
        )
        assert twice.pg_clusters["pg-a"].primary is None
        assert len(twice.pg_clusters["pg-a"].members) == 5

    def test_etcd_infra_minio_and_redis(self) -> None:
        found = build(CLUSTERS)
        assert [m.name for m in found.etcd] == ["dcs-1", "dcs-2", "dcs-3"]
        assert [m.name for m in found.infra] == ["infra-1", "infra-2"]
        assert [m.name for m in found.minio["s3"]] == ["s3-1"]
        assert [m.name for m in found.redis["cache"]] == ["cache-1", "cache-2"]

    def test_groups_hold_the_hosts_of_their_children(self) -> None:
        found = build(
            "all: {children: {a: {hosts: {10.0.0.1: }, children: {b: {hosts: {10.0.0.2: }}}}}}"
        )
        assert found.groups == {
            "all": ("10.0.0.1", "10.0.0.2"), "a": ("10.0.0.1", "10.0.0.2"), "b": ("10.0.0.2",),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "admin"),
        [
            (CLUSTERS, "10.0.0.1"),
            (CLUSTERS.replace("admin_ip: 10.0.0.1", ""), "10.0.0.2"),
            ("all: {hosts: {10.0.0.7: }}", "10.0.0.7"),
            ("all: {}", ""),
        ],
    )
    def test_the_admin_node(self, text: str, admin: str) -> None:
        assert build(text).admin_ip == admin


class TestCost:
    def test_building_looks_at_no_hosts_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def forbidden(*_args: object) -> None:
            raise AssertionError("a host's variables were merged")

        read = inventory.parse(CLUSTERS.encode())
        monkeypatch.setattr(inventory.Inventory, "variables", forbidden)
        monkeypatch.setattr(Deployment, "shared", forbidden)
        assert len(topology.build(read).pg_clusters) == 2

    def test_one_hosts_variables_leave_the_others_alone(self) -> None:
        found = build(CLUSTERS)
        assert found.nodes["10.0.0.11"].vars["pg_port"] == 5432
        touched = [ip for ip, n in found.nodes.items() if n.vars._values]
        assert touched == ["10.0.0.11"]

    def test_the_same_object_until_the_file_changes(self, tmp_path: Path) -> None:
        file = tmp_path / "pigsty.yml"
        file.write_text(CLUSTERS)
        first = topology.load(file)
        assert topology.load(str(file)) is first
        file.write_text(CLUSTERS.replace("pg-b", "pg-c"))
        os.utime(file, ns=(1, 1))
        assert "pg-c" in topology.load(file).pg_clusters
