"""Which nodes an inventory gives."""

from pathlib import Path

import pytest

from pigsty.errors import InventoryError
from pigsty_cli.bootstrap import layout, settings
from pigsty_cli.bootstrap.errors import BootstrapError
from pigsty_cli.sandbox.errors import SandboxError
from pigsty_cli.sandbox.spec import NodeSpec, SandboxSpec

INVENTORY = """
all:
  vars: {admin_ip: 10.1.2.20, ca_cn: my-ca, ca_create: false}
  children:
    infra: {hosts: {10.1.2.20: {infra_seq: 1}}}
    group:
      children:
        inner: {hosts: {10.1.2.9: , 10.1.2.100: }}
    pg-test: {hosts: {10.1.2.9: {pg_seq: 1}}}
"""


@pytest.fixture
def write(tmp_path: Path):
    def writer(text: str) -> Path:
        path = tmp_path / "pigsty.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return writer


def test_a_node_for_each_host_once_in_the_order_of_addresses(write):
    spec = SandboxSpec.from_inventory(write(INVENTORY))
    assert [node.host for node in spec.nodes] == ["10.1.2.9", "10.1.2.20", "10.1.2.100"]
    assert [node.name for node in spec.nodes] == ["node-9", "node-20", "node-100"]
    assert (spec.admin, spec.gateway) == ("10.1.2.20", "10.1.2.1")
    assert str(spec.network) == "10.1.2.0/24"


def test_the_ready_made_inventory_has_four_nodes():
    spec = SandboxSpec.from_inventory(layout.REPOSITORY / "pillar/inventory/sandbox.yml")
    assert [node.host for node in spec.nodes] == [f"10.10.10.{n}" for n in (10, 11, 12, 13)]
    assert spec.admin == "10.10.10.10"


def test_the_cable_has_a_name_that_the_kernel_takes():
    assert len(NodeSpec("10.1.2.100", "node-100").link) <= 15


@pytest.mark.parametrize(
    ("variables", "groups", "admin"),
    [
        ("admin_ip: 10.1.2.4", "infra: {hosts: {10.1.2.3: }}, a: {hosts: {10.1.2.4: }}", 4),
        ("admin_ip: 10.9.9.9", "infra: {hosts: {10.1.2.3: }}, a: {hosts: {10.1.2.2: }}", 3),
        ("", "b: {hosts: {10.1.2.8: }}, a: {hosts: {10.1.2.7: }}", 7),
    ],
    ids=["admin_ip", "first of infra", "first host"],
)
def test_who_is_the_admin_node(write, variables, groups, admin):
    path = write(f"all: {{vars: {{{variables}}}, children: {{{groups}}}}}")
    assert settings.read(path).admin == f"10.1.2.{admin}"


def test_settings_of_the_ca(write):
    read = settings.read(write(INVENTORY))
    assert (read.ca_cn, read.ca_create) == ("my-ca", False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("all: {children: {}}", "no host"),
        ("all: {children: {a: {hosts: {db1: }}}}", "'db1' is no IPv4 address"),
    ],
)
def test_hosts_that_can_not_be_booted_are_refused(write, text, says):
    with pytest.raises(BootstrapError, match=says):
        SandboxSpec.from_inventory(write(text))


@pytest.mark.parametrize("text", ["", "all: [", "hosts: {}"])
def test_what_is_no_inventory_is_refused(write, text):
    with pytest.raises(InventoryError):
        settings.read(write(text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InventoryError, match=r"nowhere\.yml"):
        settings.read(tmp_path / "nowhere.yml")


@pytest.mark.parametrize(
    ("hosts", "says"),
    [
        ("10.1.2.3: , 10.1.3.3: ", r"not in it: 10\.1\.3\.3"),
        ("10.1.2.3: , 10.1.2.1: ", r"no node can have the address 10\.1\.2\.1"),
    ],
)
def test_hosts_that_the_one_network_can_not_have(write, hosts, says):
    with pytest.raises(SandboxError, match=says):
        SandboxSpec.from_inventory(write(f"all: {{children: {{a: {{hosts: {{{hosts}}}}}}}}}"))


def test_what_was_saved_is_loaded(write, tmp_path):
    spec = SandboxSpec.from_inventory(write(INVENTORY))
    spec.save(tmp_path / "deep" / "spec.json")
    assert SandboxSpec.load(tmp_path / "deep" / "spec.json") == spec


@pytest.mark.parametrize("text", [None, "", '{"nodes": [', '{"nodes": [{"x": 1}]}', "{}"])
def test_what_is_not_there_or_not_ours_is_no_sandbox(tmp_path, text):
    path = tmp_path / "spec.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert SandboxSpec.load(path) is None
