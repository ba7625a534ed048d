"""What `pigsty init` writes, below a folder that stands for the machine's root."""

import os
import shutil
import stat
import tomllib
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pigsty_cli.bootstrap import admin, keys, layout, minion, services
from pigsty_cli.bootstrap.errors import BootstrapError
from pigsty_cli.bootstrap.files import Tree
from pigsty_cli.bootstrap.settings import Settings

SETTINGS = Settings(admin="10.1.2.10", hosts=("10.1.2.10", "10.1.2.11"), ca_cn="test-ca")
INVENTORY = b"all: {}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An admin node that was prepared once; RSA keys take a while to make."""
    root = tmp_path_factory.mktemp("admin")
    admin.prepare(Tree(root), SETTINGS, inventory=INVENTORY)
    return root


@pytest.fixture
def head(prepared: Path, tmp_path: Path) -> Tree:
    """A copy of it for one test."""
    return Tree(Path(shutil.copytree(prepared, tmp_path / "head", symlinks=True)))


def mode(tree: Tree, name: str) -> int:
    return stat.S_IMODE(tree.path(name).stat().st_mode)


def test_files_have_the_modes_that_keep_secrets(head):
    assert mode(head, "/etc/pigsty") == 0o750
    assert mode(head, layout.INVENTORY) == 0o640
    assert mode(head, layout.SECRET_KEY) == 0o600
    assert mode(head, layout.CA_KEY) == 0o600
    assert mode(head, layout.CA_CERTIFICATE) == 0o644
    assert mode(head, layout.MASTER_PKI) == 0o700
    assert mode(head, layout.MASTER_KEY) == 0o400
    assert mode(head, f"{layout.MINION_PKI}/minion.pem") == 0o400


def test_the_deployment_key_is_32_random_bytes(head, tmp_path):
    text = head.path(layout.SECRET_KEY).read_text(encoding="ascii").strip()
    assert len(bytes.fromhex(text)) == 32
    other = Tree(tmp_path / "other")
    admin.prepare(other, SETTINGS, inventory=INVENTORY)
    assert other.path(layout.SECRET_KEY).read_text(encoding="ascii").strip() != text


def test_the_ca_is_a_ca_of_the_name_asked_for(head):
    certificate = x509.load_pem_x509_certificate(head.path(layout.CA_CERTIFICATE).read_bytes())
    assert "CN=test-ca" in certificate.subject.rfc4514_string()
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = load_pem_private_key(head.path(layout.CA_KEY).read_bytes(), None)
    assert key.public_key() == certificate.public_key()


def test_a_second_time_changes_nothing(head):
    again = Tree(head.root)
    admin.prepare(again, SETTINGS, inventory=INVENTORY)
    assert again.changes == []


def test_without_an_inventory_the_one_that_is_there_stays(head):
    admin.prepare(head, SETTINGS, inventory=None)
    assert head.path(layout.INVENTORY).read_bytes() == INVENTORY


def test_the_masters_key_survives_a_new_host_name(head):
    conf = yaml.safe_load(head.path("/etc/salt/master.d/pigsty.conf").read_text(encoding="utf-8"))
    assert conf["id"] == layout.MASTER_ID
    assert head.path(f"{layout.MASTER_PKI}/master.pem").readlink() == Path("pigsty.pem")


def test_the_admin_nodes_own_minion_is_known_and_trusts_the_master(head):
    public = head.path(f"{layout.MINION_PKI}/minion.pub").read_bytes()
    assert head.path(f"{layout.MASTER_PKI}/minions/10.1.2.10").read_bytes() == public
    master = head.path(f"{layout.MASTER_PKI}/pigsty.pub").read_bytes()
    assert head.path(f"{layout.MINION_PKI}/minion_master.pub").read_bytes() == master
    local = yaml.safe_load(head.path("/etc/salt/minion.d/local.conf").read_text(encoding="utf-8"))
    assert local == {"id": "10.1.2.10", "master": "10.1.2.10"}


def test_a_minion_keeps_its_key(tmp_path):
    node = Tree(tmp_path)
    arguments = {"host": "10.1.2.11", "master": "10.1.2.10", "master_key": b"key"}
    public = minion.prepare(node, **arguments)
    assert minion.prepare(node, **arguments) == public
    private = node.path(f"{layout.MINION_PKI}/minion.pem").read_bytes()
    assert keys.public_of(private) == public
    assert not public.endswith(b"\n")


def test_accepting_a_key_clears_what_an_earlier_call_left(head):
    denied = head.path(f"{layout.MASTER_PKI}/minions_denied/10.1.2.11")
    denied.parent.mkdir()
    denied.write_text("old", encoding="ascii")
    admin.accept(head, "10.1.2.11", b"new")
    assert admin.knows(head, "10.1.2.11")
    assert not denied.exists()


def test_a_foreign_ca_is_awaited_when_none_may_be_made(tree):
    settings = Settings(admin="10.1.2.10", hosts=("10.1.2.10",), ca_create=False)
    with pytest.raises(BootstrapError, match="ca_create is false"):
        admin.prepare(tree, settings, inventory=INVENTORY)
    tree.write(layout.CA_KEY, b"k", 0o600)
    tree.write(layout.CA_CERTIFICATE, b"c", 0o644)
    admin.prepare(tree, settings, inventory=INVENTORY)
    assert tree.path(layout.CA_KEY).read_bytes() == b"k"


def test_half_a_ca_is_never_replaced(tree):
    tree.write(layout.CA_KEY, b"k", 0o600)
    with pytest.raises(BootstrapError, match="only one is there"):
        admin.prepare(tree, SETTINGS, inventory=INVENTORY)
    assert tree.path(layout.CA_KEY).read_bytes() == b"k"


def test_a_file_is_written_with_its_mode_and_only_when_it_differs(tree):
    old_mask = os.umask(0)
    try:
        assert tree.write("/a/b", "x", 0o600)
    finally:
        os.umask(old_mask)
    assert mode(tree, "/a/b") == 0o600
    assert not tree.write("/a/b", "x", 0o600)
    assert tree.write("/a/b", "x", 0o640)
    assert tree.changes == ["/a/b", "/a/b"]
    assert [path.name for path in tree.path("/a").iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("changed", "commands"),
    [
        ([], ["start salt-master", "start salt-minion"]),
        ([layout.INVENTORY], ["start salt-master", "start salt-minion"]),
        (["/etc/salt/master.d/pigsty.conf"], ["restart salt-master", "start salt-minion"]),
        (["/etc/salt/pki/master/minions/1.2.3.4"], ["start salt-master", "start salt-minion"]),
        ([layout.MASTER_KEY], ["restart salt-master", "start salt-minion"]),
        (["/etc/salt/pki/minion/minion.pem"], ["start salt-master", "restart salt-minion"]),
        (
            [f"{layout.UNITS}/salt-minion.service"],
            ["daemon-reload", "start salt-master", "restart salt-minion"],
        ),
    ],
)
def test_only_what_changed_is_restarted(head, changed, commands):
    ran: list[str] = []
    services.refresh(
        Tree(head.root, changed),
        lambda words: ran.append(" ".join(words[1:]).removesuffix(".service")),
    )
    assert ran == commands


def test_the_master_accepts_nobody_and_lets_minions_do_one_thing(head):
    conf = yaml.safe_load(head.path("/etc/salt/master.d/pigsty.conf").read_text(encoding="utf-8"))
    assert [conf[name] for name in ("auto_accept", "open_mode", "file_recv")] == [False] * 3
    assert conf["peer"] == {".*": ["pigsty_pki[.]sign$"]}
    assert conf["on_demand_ext_pillar"] == []


def test_the_nodes_get_the_packages_that_the_command_depends_on():
    project = tomllib.loads((layout.REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    text = (layout.REPOSITORY / "salt/requirements.txt").read_text(encoding="utf-8")
    nodes = [line for line in text.splitlines() if not line.startswith("#")]
    assert sorted(nodes) == sorted(project["project"]["dependencies"])
