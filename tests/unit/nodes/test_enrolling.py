"""Machines become minions: what is sent to them, and what a person is told."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pigsty import journal as journal_module
from pigsty import topology
from pigsty.clients import keys
from pigsty.enrolment import Facts
from pigsty.topology import Topology
from pigsty_cli import enrolling, exitcodes, ssh
from pigsty_cli.bootstrap import layout, minion, wheelhouse
from pigsty_cli.bootstrap.files import Tree
from pigsty_cli.bootstrap.wheelhouse import Wheelhouse
from pigsty_cli.enrolling import Row, Wish
from pigsty_cli.errors import Refused

ROOT = Path(__file__).resolve().parents[3]
NEW = "10.10.10.13"


@pytest.fixture
def declared() -> Topology:
    return topology.load(ROOT / "pillar/inventory/sandbox.yml")


@pytest.fixture
def parcel(tmp_path: Path) -> Tree:
    """What a machine gets besides Salt."""
    tree = Tree(tmp_path / "parcel")
    minion.prepare(tree, host=NEW, master="10.10.10.10", master_key=b"MASTER")
    return tree


def _program(action: str, root: Path, host: str = "127.0.0.1") -> str:
    """The program for a machine whose root is a folder."""
    text = enrolling._program(action, host)
    for path in ("/opt/pigsty", "/etc/salt/pki/minion"):
        text = text.replace(f'"{path}', f'"{root}{path}')
    return text.replace('target = Path("/")', f'target = Path("{root}")')


def test_the_program_tells_of_this_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-c", enrolling._program("look", "127.0.0.1")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    facts = Facts.from_dict(json.loads(done.stdout))
    assert facts.address and facts.room > 0
    assert facts.python == ".".join(map(str, sys.version_info[:3]))
    done = subprocess.run(
        [sys.executable, "-c", enrolling._program("look", "192.0.2.77")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not Facts.from_dict(json.loads(done.stdout)).address


def test_files_arrive_with_their_modes_and_the_private_key_is_nobody_elses(
    parcel: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "machine"
    (root / "bin").mkdir(parents=True)
    systemctl = root / "bin/systemctl"
    systemctl.write_text("#!/bin/sh\n")
    systemctl.chmod(0o755)
    stream = io.BytesIO()
    enrolling.pack(stream, parcel.root, None)
    done = subprocess.run(
        [sys.executable, "-c", _program("receive", root)],
        input=stream.getvalue(), capture_output=True, check=False,
        env={"PATH": f"{root}/bin:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    key = root / "etc/salt/pki/minion/minion.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o400
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert (root / layout.ENABLED[1:] / "salt-minion.service").is_symlink()
    assert "id: 10.10.10.13" in (root / "etc/salt/minion.d/local.conf").read_text()
    assert not (root / "opt/pigsty/.enrolment").exists()


def test_a_connection_that_breaks_leaves_nothing(parcel: Tree, tmp_path: Path) -> None:
    root = tmp_path / "machine"
    root.mkdir()
    stream = io.BytesIO()
    enrolling.pack(stream, parcel.root, None)
    half = stream.getvalue()[:3000]
    done = subprocess.run(
        [sys.executable, "-c", _program("receive", root)], input=half, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert not (root / "etc").exists() and not (root / "opt/pigsty/.enrolment").exists()


def test_salt_travels_before_the_files(parcel: Tree, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "salt-3008.4-py3-none-any.whl").write_bytes(b"wheel")
    found = wheelhouse.find(wheels)
    assert found is not None and found.salt == "3008.4"
    assert wheelhouse.find(tmp_path / "nowhere") is None
    stream = io.BytesIO()
    enrolling.pack(stream, parcel.root, found)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert names[:2] == ["wheels", "wheels/salt-3008.4-py3-none-any.whl"]
    assert "pip/pip/__main__.py" in names and "requirements.txt" in names
    assert names.index("root") > names.index("requirements.txt")
    assert not any("__pycache__" in name for name in names)
    assert {member.uid for member in members} == {0}


def test_the_inventory_says_how_a_machine_is_reached(tmp_path: Path) -> None:
    file = tmp_path / "pigsty.yml"
    file.write_text(
        "all: {children: {a: {hosts: {10.1.1.1: {ansible_host: 192.0.2.1, ansible_port: 2222, "
        "ansible_user: dba, ansible_ssh_private_key_file: /k}, 10.1.1.2: {}}}}}\n"
    )
    nodes = topology.load(file).nodes
    door = enrolling.door_of(nodes["10.1.1.1"], Wish(()))
    assert (door.host, door.target, door.port) == ("10.1.1.1", "192.0.2.1", 2222)
    assert (door.user, door.key) == ("dba", "/k")
    door = enrolling.door_of(nodes["10.1.1.2"], Wish((), user="root", key="/mine", accept=True))
    assert (door.target, door.port, door.user, door.key) == ("10.1.1.2", 22, "root", "/mine")
    assert door.accept


class Machines:
    """Machines behind ssh, by what they say of themselves; what is asked of them is noted."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.facts: dict[str, Any] = {}
        self.links: set[str] = set()

    def call(self, door: ssh.Door, program: str, deadline: str, send: Any = None) -> Any:
        action = deadline.removeprefix("enrolment.")
        self.calls.append((door.host, action))
        facts = self.facts[door.host]
        if isinstance(facts, Exception):
            raise facts
        if send is not None:
            send(io.BytesIO())
        if action == "start":
            self.links.add(door.host)
        return facts

    def connected(self) -> frozenset[str]:
        return frozenset(self.links)

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_: object) -> None:
        pass


BARE = {
    "system": "debian-13", "machine": "x86_64", "python": "3.13.5", "systemd": True,
    "address": True, "room": 10**10, "salt": "", "id": "", "master": "", "public": "",
    "trusts": "", "active": False,
}  # fmt: skip


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """An admin node below a folder, and machines that say what a test wants."""
    found = Machines()
    root = tmp_path / "admin"
    head = Tree(root)
    head.write(f"{layout.MASTER_PKI}/{layout.MASTER_ID}.pub", "MASTER", 0o644)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "salt-3008.4-py3-none-any.whl").touch()
    monkeypatch.setattr(enrolling, "ADMIN", root)
    monkeypatch.setattr(enrolling, "PARCELS", tmp_path / "run")
    monkeypatch.setattr(enrolling, "Master", lambda: found)
    monkeypatch.setattr(wheelhouse, "find", lambda: Wheelhouse(wheels, "3008.4", "3.13", "x86_64"))
    monkeypatch.setattr(journal_module, "PATH", tmp_path / "journal.db")
    monkeypatch.setattr(ssh, "KNOWN", tmp_path / "known_hosts")
    monkeypatch.setattr(ssh, "call", found.call)
    monkeypatch.setattr(keys, "PKI", root / layout.MASTER_PKI[1:])
    return found


def test_a_bare_machine_becomes_a_minion_that_the_master_knows(
    declared: Topology, machines: Machines, tmp_path: Path
) -> None:
    machines.facts[NEW] = BARE
    said: list[str] = []
    (row,) = enrolling.add(declared, Wish((NEW,)), said.append)
    assert (row.state, row.error) == ("added", "")
    assert machines.calls == [(NEW, "look"), (NEW, "receive"), (NEW, "start")]
    (key,) = keys.read(tmp_path / "admin" / layout.MASTER_PKI[1:])
    assert (key.id, key.state) == (NEW, "accepted")
    # The private half is on no disk of the admin node.
    assert not list((tmp_path / "run").iterdir())


def test_a_look_changes_nothing(declared: Topology, machines: Machines, tmp_path: Path) -> None:
    machines.facts[NEW] = BARE
    (row,) = enrolling.add(declared, Wish((NEW,), test=True), lambda _: None)
    assert (row.state, machines.calls) == ("would be added", [(NEW, "look")])
    assert row.steps == ["salt", "files", "accept", "start"]
    assert keys.read(tmp_path / "admin" / layout.MASTER_PKI[1:]) == ()


def test_one_that_fails_keeps_nobody_from_it(declared: Topology, machines: Machines) -> None:
    machines.facts = {NEW: BARE, "10.10.10.12": ssh.SshError("it can't be reached by ssh (x)")}
    rows = enrolling.add(declared, Wish(("10.10.10.12", NEW)), lambda _: None)
    assert [(row.host, row.state) for row in rows] == [("10.10.10.12", "failed"), (NEW, "added")]
    assert rows[0].error == "it can't be reached by ssh (x)"
    assert enrolling.exit_code(rows) == exitcodes.PARTIAL
    assert enrolling.exit_code(rows[:1]) == exitcodes.FAILED
    assert enrolling.exit_code(rows[1:]) == exitcodes.OK


def test_a_host_key_that_nobody_confirmed_is_shown(
    declared: Topology, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPFtPTQ3dBpZ4sBVSoYzVvGNPYHh0GX1mX1j1qFpOZJp"
    monkeypatch.setattr(ssh, "offered", lambda door: (shown,))
    machines.facts[NEW] = ssh.HostKeyUnknown("its host key is not known")
    mark = ssh.fingerprint(shown)
    (row,) = enrolling.add(declared, Wish((NEW,)), lambda _: None)
    assert row.state == "failed" and mark in row.error and "--fingerprint" in row.error
    # Another one than the person has read from the console.
    (row,) = enrolling.add(declared, Wish((NEW,), fingerprints=("SHA256:x",)), lambda _: None)
    assert mark in row.error and ssh.remembered(NEW, ssh.KNOWN) == ()
    machines.facts[NEW] = BARE
    (row,) = enrolling.add(declared, Wish((NEW,), fingerprints=(mark,)), lambda _: None)
    assert row.state == "added" and ssh.remembered(NEW, ssh.KNOWN) == (shown,)


def test_the_admin_node_adds_others_only(declared: Topology, machines: Machines) -> None:
    with pytest.raises(Refused, match="admin node itself"):
        enrolling.add(declared, Wish(("10.10.10.10",)), lambda _: None)


def test_a_person_is_told_what_would_be_done_and_what_follows() -> None:
    said: list[str] = []
    row = Row(NEW, "pg-test-3", "would be added", ["salt", "start"])
    enrolling.tell([row], test=True, say=said.append)
    assert [line.partition(": ")[0] for line in said] == [NEW, NEW]
    said.clear()
    enrolling.tell([Row(NEW, "pg-test-3", "added", ["start"])], test=False, say=said.append)
    assert said == [f"What follows by itself: pigsty events {NEW} --follow"]
