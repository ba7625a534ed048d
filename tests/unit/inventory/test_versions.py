"""Inventories of every generation of Pigsty load and validate as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pigsty import topology, validate

DATA = Path(__file__).parent / "data"
READY = Path(__file__).resolve().parents[3] / "pillar" / "inventory"
FILES = sorted([*DATA.glob("v*.yml"), *READY.glob("*.yml")])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
class TestEveryInventory:
    def test_validates_without_errors(self, file: Path) -> None:
        assert [f for f in validate.validate(file) if f.severity == "error"] == []

    def test_renders_every_variable_of_every_host(self, file: Path) -> None:
        for node in topology.load(file).nodes.values():
            for name in node.vars:
                node.vars[name]


def test_the_inventories_that_we_ship() -> None:
    found = {file.stem: topology.load(file) for file in READY.glob("*.yml")}
    assert set(found) >= {"meta", "sandbox", "trio", "slim", "simu"}
    assert len(found["meta"].nodes) == 1
    assert len(found["simu"].nodes) > 20
    modules = {m for node in found["simu"].nodes.values() for m in node.modules}
    assert modules == {"node", "infra", "etcd", "minio", "redis", "pgsql"}
    assert len(found["slim"].infra) == 0
    trio = found["trio"]
    assert [len(x) for x in (trio.infra, trio.etcd, trio.pg_clusters["pg-meta"].members)] == [3] * 3


def test_the_sandbox_is_the_one_that_the_issue_describes() -> None:
    found = topology.load(READY / "sandbox.yml")
    assert found.admin_ip == "10.10.10.10"
    assert found.nodes["10.10.10.10"].modules == ("node", "infra", "etcd", "pgsql")
    members = found.pg_clusters["pg-test"].members
    assert [(m.ip, m.role, m.offline) for m in members] == [
        ("10.10.10.11", "primary", False),
        ("10.10.10.12", "replica", False),
        ("10.10.10.13", "replica", True),
    ]


def test_only_the_sandbox_has_passwords() -> None:
    for file in READY.glob("*.yml"):
        assert ("password:" in file.read_text()) == (file.stem == "sandbox"), file


class TestTwoFive:
    def test_former_names_have_their_meaning(self) -> None:
        found = topology.load(DATA / "v2_5.yml").nodes["10.1.0.10"].vars
        meant = {
            "pg_rto": "norm", "pg_fs_backup": "/data/backups", "pg_primary_db": "meta",
            "node_firewall_mode": "off", "node_selinux_mode": "disabled",
            "node_repo_modules": "local", "patroni_watchdog_mode": "off", "pg_version": 15,
        }  # fmt: skip
        assert {name: found[name] for name in meant} == meant
        assert found["pg_packages"] == ["postgresql15*", "patroni pgbouncer"]
        assert found["infra_portal"]["loki"] == {"endpoint": "10.1.0.10:3100"}

    def test_what_does_nothing_is_a_warning(self) -> None:
        said = "\n".join(f.message for f in validate.validate(DATA / "v2_5.yml"))
        names = "pg_clean etcd_clean redis_clean exporter_install node_conf pg_rto search_path"
        for name in (*names.split(), "haproxy_auth_enabled", "pool_size_reserve"):
            assert name in said, name


class TestThree:
    def test_words_stay_words(self) -> None:
        found = topology.load(DATA / "v3_3.yml").nodes["10.1.0.10"].vars
        assert found["pg_parameters"] == {
            "cron.database_name": "meta", "log_statement": "none", "jit": "off",
        }  # fmt: skip
        assert found["pg_rto"] == "safe"
        assert found["pg_default_extensions"] == ["citus", {"name": "pg_repack"}]


class TestFourFive:
    def test_values(self) -> None:
        found = topology.load(DATA / "v4_5.yml").nodes["10.1.0.10"].vars
        assert found["prometheus_enabled"] is True
        assert found["loki_enabled"] is found["promtail_enabled"] is False
        assert found["pg_rto_plan"]["safe"][5:8] == ["3s", "1.5s", "3s"]
        assert found["pg_databases"][0]["extensions"][0]["version"] == "0.8"
        assert isinstance(found["repo_packages"], list)
