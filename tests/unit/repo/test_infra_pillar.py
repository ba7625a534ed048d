"""The pillar of infra nodes, on the inventories that we ship."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pigsty import inventory, pillar, platform, topology
from pigsty.pillar import infra
from pigsty.pillar.site import Site

SHIPPED = Path(__file__).resolve().parents[3] / "pillar/inventory"
SITE = Site(key=b"k" * 32, ca="PEM")


def build(name):
    return topology.build(inventory.load(SHIPPED / f"{name}.yml"))


def compiled(deployment, ip):
    return pillar.compile_pillar(deployment, ip, SITE, platform.load())


def write(tmp_path, admin="", **variables):
    lines = "".join(f"    {key}: {value}\n" for key, value in variables.items())
    text = (
        f"all:\n  vars:\n    admin_ip: 10.1.1.1\n{lines}  children:\n"
        f"    infra: {{ hosts: {{ 10.1.1.1: {{ infra_seq: 1{admin} }} }} }}\n"
        "    etcd: { hosts: { 10.1.1.1: { etcd_seq: 1 } } }\n"
        "    pg-a: { hosts: { 10.1.1.2: { pg_seq: 1, pg_role: primary } },\n"
        "      vars: { pg_cluster: pg-a } }\n"
    )
    file = tmp_path / "pigsty.yml"
    file.write_text(text)
    return topology.build(inventory.load(file))


@pytest.mark.parametrize("name", ["meta", "sandbox", "trio"])
def test_the_repository_holds_what_every_node_installs(name):
    deployment = build(name)
    held = set(infra.packages(deployment, deployment.nodes[deployment.admin_ip], platform.load()))
    for ip in deployment.nodes:
        for module, data in compiled(deployment, ip).items():
            missing = set(data.get("packages", ())) - held
            assert not missing, f"{ip} {module}: {missing}"
    assert {"nginx", "pgbackrest"} <= held


def test_only_the_admin_node_may_sign():
    deployment = build("trio")
    signers = [
        ip
        for ip in deployment.nodes
        if "grants" in compiled(deployment, ip).get("infra", {}).get("pki", {})
    ]
    assert signers == [deployment.admin_ip]


def test_what_a_node_expects_is_what_it_may_have():
    deployment = build("trio")
    grants = compiled(deployment, deployment.admin_ip)["infra"]["pki"]["grants"]
    for ip in deployment.nodes:
        assert compiled(deployment, ip)["meta"]["certs"] == json.loads(grants[ip])


def test_the_address_of_the_repository(tmp_path):
    for variables, url in (
        ({}, "https://10.1.1.1/pigsty"),
        ({"nginx_ssl_port": 8443}, "https://10.1.1.1:8443/pigsty"),
        ({"nginx_sslmode": "disable"}, "http://10.1.1.1/pigsty"),
        ({"nginx_sslmode": "disable", "nginx_port": 8080}, "http://10.1.1.1:8080/pigsty"),
        # Pigsty's own default would be plain HTTP, which our nodes don't need.
        ({"repo_endpoint": '"http://${admin_ip}:80"'}, "https://10.1.1.1/pigsty"),
        ({"repo_endpoint": "https://repo.example.org/"}, "https://repo.example.org/pigsty"),
    ):
        deployment = write(tmp_path, **variables)
        found = infra.sources(deployment, deployment.nodes["10.1.1.2"], platform.load())
        assert (found["local"], found["url"]) == (True, url)


@pytest.mark.parametrize(
    "variables",
    [{"repo_enabled": "false"}, {"nginx_enabled": "false"}, {"node_repo_modules": "node,pgsql"}],
)
def test_without_a_local_repository_the_sources_of_the_system_stay(tmp_path, variables):
    deployment = write(tmp_path, node_repo_remove="true", **variables)
    found = infra.sources(deployment, deployment.nodes["10.1.1.2"], platform.load())
    assert found == {
        "local": False,
        "name": "pigsty",
        "remove": False,
        "upstream": [],
        "url": "",
    }


UPSTREAM = (
    "[{ name: a, module: node, releases: [13], baseurl: { default: 'http://x.example/ y main' } }]"
)


def test_declared_upstream_is_for_the_admin_who_fetches_for_all(tmp_path):
    deployment = write(
        tmp_path,
        repo_upstream=UPSTREAM,
        repo_modules="node",
        repo_remove="true",
        node_repo_remove="true",
    )
    system = platform.load()
    admin, other = (infra.sources(deployment, n, system) for n in deployment.nodes.values())
    assert admin["upstream"] == ["deb [trusted=yes] http://x.example/ y main"]
    assert other["upstream"] == []
    assert (admin["remove"], other["remove"]) == (True, True)


def test_the_admin_keeps_its_sources_when_nothing_replaces_them(tmp_path):
    deployment = write(tmp_path, repo_remove="true", node_repo_remove="true")
    system = platform.load()
    admin, other = (infra.sources(deployment, n, system) for n in deployment.nodes.values())
    assert (admin["remove"], other["remove"]) == (False, True)


@pytest.mark.parametrize(
    ("given", "env"),
    [
        ("{ no_proxy: localhost }", {}),
        (
            "{ http_proxy: 'http://p.example:1', no_proxy: localhost, other: x }",
            {"http_proxy": "http://p.example:1", "no_proxy": "localhost"},
        ),
    ],
)
def test_a_proxy_is_passed_on(tmp_path, given, env):
    deployment = write(tmp_path, proxy_env=given)
    assert infra.proxy(deployment.nodes["10.1.1.1"].vars) == env


def test_single_files_have_one_form(tmp_path):
    deployment = write(
        tmp_path,
        repo_url_packages="['https://x.example/a.tgz', { name: b, url: 'https://x.example/c' }]",
    )
    data = compiled(deployment, "10.1.1.1")["infra"]["repo"]["url_packages"]
    assert data == [
        {"name": "a.tgz", "url": "https://x.example/a.tgz"},
        {"name": "b", "url": "https://x.example/c"},
    ]


def test_what_is_kept_is_that_of_this_inventory_and_nobody_can_spoil_it(tmp_path):
    first = write(tmp_path)
    data = compiled(first, "10.1.1.1")["infra"]
    data["pki"]["grants"].clear()
    data["repo"]["packages"].clear()
    again = compiled(first, "10.1.1.1")["infra"]
    assert sorted(again["pki"]["grants"]) == ["10.1.1.1", "10.1.1.2"]
    assert again["repo"]["packages"]
    other = write(tmp_path, repo_extra_packages="[something-else]")
    assert "something-else" in compiled(other, "10.1.1.1")["infra"]["repo"]["packages"]
    assert "something-else" not in compiled(first, "10.1.1.1")["infra"]["repo"]["packages"]
