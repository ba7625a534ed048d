"""No pillar holds a secret that its minion does not need: each secret is a token to look for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pigsty import topology, validate
from pigsty.findings import has_errors
from pigsty.pillar import compile_pillar
from pigsty.pillar.site import Site
from pigsty.platform import load as platform

ROOT = Path(__file__).resolve().parents[2]
META, TEST = "10.10.10.10", ("10.10.10.11", "10.10.10.12", "10.10.10.13")
#: Secrets of a cluster; each cluster gets tokens of its own.
OF_CLUSTER = (
    "patroni_password", "pg_admin_password", "pg_dbsu_password", "pg_etcd_password",
    "pg_monitor_password", "pg_replication_password",
)  # fmt: skip
#: Secrets of the whole deployment, and the hosts that may have them.
OF_DEPLOYMENT: dict[str, tuple[str, ...]] = {
    "etcd_root_password": (META,),
    "grafana_admin_password": (META,),
    "grafana_view_password": (META,),
    "minio_secret_key": (),
    "redis_password": (),
    "pgsodium_key": (),
}


@pytest.fixture(scope="module")
def pillars(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pillar of every host as text, from an inventory full of tokens."""
    data: Any = yaml.safe_load((ROOT / "pillar/inventory/sandbox.yml").read_text("utf-8"))
    everything = data["all"]
    everything["vars"]["pigsty_journal_database"] = "pg-meta/app"
    for name in OF_DEPLOYMENT:
        everything["vars"][name] = f"token-all-{name}"
    for cluster in ("pg-meta", "pg-test"):
        variables = everything["children"][cluster]["vars"]
        for name in OF_CLUSTER:
            variables[name] = f"token-{cluster}-{name}"
        variables["pg_users"] = [{"name": "app", "password": f"token-{cluster}-app"}]
        variables["pg_databases"] = [{"name": "app", "owner": "app"}]
    file = tmp_path_factory.mktemp("tokens") / "pigsty.yml"
    file.write_text(yaml.safe_dump(data), "utf-8")
    assert not has_errors(validate.validate(file)), validate.validate(file)
    found, site = topology.load(file), Site(key=bytes(32), ca="stand-in")
    return {ip: json.dumps(compile_pillar(found, ip, site, platform())) for ip in found.nodes}


@pytest.mark.parametrize("host", TEST)
def test_a_member_has_no_secret_of_another_cluster(pillars: dict[str, str], host: str) -> None:
    assert "token-pg-meta-" not in pillars[host]


def test_the_admin_node_has_no_secret_of_a_cluster_elsewhere(pillars: dict[str, str]) -> None:
    allowed = {"token-pg-test-pg_etcd_password"}  # the root user of etcd makes each cluster's user
    held = {f"token-pg-test-{name}" for name in OF_CLUSTER} - allowed
    assert not [token for token in held if token in pillars[META]]


@pytest.mark.parametrize("name", sorted(OF_DEPLOYMENT))
def test_a_secret_of_the_deployment_is_where_it_is_needed(
    pillars: dict[str, str], name: str
) -> None:
    holders = {ip for ip, text in pillars.items() if f"token-all-{name}" in text}
    assert holders <= set(OF_DEPLOYMENT[name])


def test_passwords_of_users_travel_as_verifiers_only(pillars: dict[str, str]) -> None:
    for text in pillars.values():
        assert "token-pg-meta-app" not in text
        assert "token-pg-test-app" not in text


def test_a_member_has_what_it_needs(pillars: dict[str, str]) -> None:
    for host in TEST:
        for name in ("patroni_password", "pg_etcd_password", "pg_replication_password"):
            assert f"token-pg-test-{name}" in pillars[host], name


def test_the_key_of_the_deployment_is_nowhere(pillars: dict[str, str]) -> None:
    for text in pillars.values():
        assert bytes(32).hex() not in text
