"""The commands, without a sandbox: what they pass on, and what they refuse before any change."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from pigsty_cli.commands import init, sandbox
from pigsty_cli.errors import Refused
from pigsty_cli.sandbox import cgroups, launch, preflight, process
from pigsty_cli.sandbox.errors import CommandError, PreflightError, SandboxError
from pigsty_cli.sandbox.lifecycle import Sandbox
from pigsty_cli.sandbox.node import Node
from pigsty_cli.sandbox.paths import Paths
from pigsty_cli.sandbox.spec import NodeSpec


class Recorder:
    """Stands for the sandbox and its nodes, and notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def node(self, name: str) -> "Recorder":
        self.calls.append(("node", name))
        return self

    def become(self, words: object) -> None:
        self.calls.append(("become", tuple(words)))

    def __getattr__(self, name: str):
        return lambda *args, **kwargs: self.calls.append((name, *args, *kwargs.values()))


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(sandbox, "_sandbox", lambda: recorder)
    return recorder


@pytest.mark.parametrize(
    "words",
    [
        ["exec", "node-10", "--", "salt", "*", "-t", "5", "--out=json"],
        ["exec", "node-10", "salt", "*", "-t", "5", "--out=json"],
    ],
)
def test_exec_passes_a_commands_own_options_on(recorder, words):
    assert CliRunner().invoke(sandbox.command, words).exit_code == 0
    command = ("salt", "*", "-t", "5", "--out=json")
    assert recorder.calls == [("node", "node-10"), ("become", command)]


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["kill", "node-11"], ("kill", "node-11")),
        (["bare", "node-11"], ("bare", "node-11")),
        (["start"], ("start", ())),
        (["partition", "a", "--from", "b", "--from", "c"], ("partition", "a", ("b", "c"))),
        (["partition", "a"], ("partition", "a", ())),
        (["heal"], ("heal", None)),
        (["destroy", "--cache"], ("destroy", True)),
    ],
)
def test_a_command_is_one_call(recorder, words, call):
    assert CliRunner().invoke(sandbox.command, words).exit_code == 0
    assert recorder.calls == [call]


@pytest.mark.parametrize("words", [["exec", "node-10"], ["exec", "node-10", "--"], ["kill"]])
def test_what_is_missing_is_wrong_usage(recorder, words):
    assert CliRunner().invoke(sandbox.command, words).exit_code == 2
    assert recorder.calls == []


@pytest.fixture
def empty(tmp_path: Path, monkeypatch) -> Sandbox:
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 0)
    return Sandbox(Paths(tmp_path / "state", tmp_path / "cache"))


def test_who_is_not_root_is_told_so_and_nothing_is_made(empty, monkeypatch):
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 1000)
    for act in (empty.up, empty.down, empty.destroy, lambda: empty.start([])):
        with pytest.raises(PreflightError, match="run it as root"):
            act()
    assert not empty.paths.state.exists()


def test_a_kernel_that_lacks_something_is_told_so_and_nothing_is_made(empty, monkeypatch):
    monkeypatch.setattr(preflight, "missing_features", lambda: ["overlayfs"])
    with pytest.raises(PreflightError, match="kernel lacks overlayfs"):
        empty.up()
    assert not empty.paths.state.exists()


def test_a_full_disk_is_told_so_and_nothing_is_made(empty, monkeypatch):
    monkeypatch.setattr(preflight, "missing_features", lambda: [])
    usage = shutil.disk_usage(empty.paths.state.parent)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage._replace(free=2**30))
    with pytest.raises(PreflightError, match=r"1\.0 GiB free, 6 GiB needed"):
        empty.up()
    assert not empty.paths.state.exists()


def test_without_a_sandbox_commands_say_how_to_get_one(empty):
    for act in (lambda: empty.kill("x"), lambda: empty.start([]), lambda: empty.partition("x")):
        with pytest.raises(SandboxError, match="pigsty sandbox up"):
            act()
    assert empty.status() == []


def test_init_refuses_a_machine_that_is_not_the_inventorys_admin_node(tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(Path, "is_dir", lambda path: str(path) == "/run/systemd/system")
    path = tmp_path / "pigsty.yml"
    path.write_text("all: {children: {infra: {hosts: {192.0.2.77: }}}}", encoding="utf-8")
    with pytest.raises(Refused, match=r"192\.0\.2\.77, which is no address of this machine"):
        CliRunner().invoke(
            init.command, ["-i", str(path)], catch_exceptions=False, standalone_mode=False
        )


def test_a_failed_command_tells_its_last_words():
    with pytest.raises(CommandError, match="exit code 3: it hurts") as caught:
        process.run([sys.executable, "-c", "import sys; print('it hurts'); sys.exit(3)"])
    assert caught.value.returncode == 3
    with pytest.raises(CommandError) as caught:
        process.run(["/no/such/program"])
    assert caught.value.returncode == 127
    with pytest.raises(CommandError) as caught:
        process.run([sys.executable, "-c", "input()"], stdin=None, timeout=0.01)
    assert caught.value.returncode == 124


def test_the_launcher_joins_its_groups_before_it_becomes_the_program(tmp_path):
    joins = [tmp_path / "one", tmp_path / "two"]
    program = [sys.executable, "-c", "import os; print(os.getpid())"]
    done = subprocess.run(
        [sys.executable, launch.__file__, *map(str, joins), "--", *program],
        check=True,
        capture_output=True,
        text=True,
    )
    assert {path.read_text(encoding="ascii") for path in joins} == {done.stdout}


def test_the_launcher_starts_a_program_again_that_reboots(tmp_path):
    marks = tmp_path / "marks"
    script = (
        f"import sys; marks = open({str(marks)!r}, 'a+'); marks.write('x'); marks.seek(0)\n"
        f"sys.exit({launch.REBOOT} if len(marks.read()) < 3 else 0)"
    )
    words = [sys.executable, launch.__file__, "--", sys.executable, "-c", script]
    subprocess.run(words, check=True)
    assert marks.read_text(encoding="ascii") == "xxx"


@pytest.fixture
def hierarchies(tmp_path, monkeypatch):
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    for name in ("unified", "systemd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    return tmp_path


def test_a_mixed_host_has_two_groups_for_a_node_and_a_unified_one_has_one(hierarchies):
    assert cgroups.groups("n") == [hierarchies / "unified/n", hierarchies / "systemd/n"]
    (hierarchies / "cgroup.procs").touch()
    assert cgroups.groups("n") == [hierarchies / "n"]


def test_processes_of_all_groups_below_a_nodes_are_found_once(hierarchies):
    inner = hierarchies / "unified/n/payload/init.scope"
    inner.mkdir(parents=True)
    (inner / "cgroup.procs").write_text("12\n7\n", encoding="ascii")
    (hierarchies / "systemd/n").mkdir()
    (hierarchies / "systemd/n/cgroup.procs").write_text("7\n", encoding="ascii")
    assert cgroups.processes("n") == [7, 12]
    assert cgroups.processes("other") == []


def test_groups_that_come_and_go_while_one_looks_are_no_error(hierarchies):
    inner = hierarchies / "unified/n/payload/init.scope"
    done = threading.Event()

    def systemd() -> None:
        while not done.is_set():
            inner.mkdir(parents=True)
            inner.rmdir()
            inner.parent.rmdir()

    boot = threading.Thread(target=systemd)
    boot.start()
    try:
        assert all(cgroups.processes("n") == [] for _ in range(3000))
    finally:
        done.set()
        boot.join()


def test_a_node_that_ends_while_it_is_asked_to_is_no_error(monkeypatch, tmp_path):
    child = subprocess.Popen(["true"])
    child.wait()
    monkeypatch.setattr(cgroups, "init_of", lambda _group: child.pid)
    Node(NodeSpec("node-1", "10.10.10.1"), Paths(tmp_path, tmp_path)).ask_off()


def test_a_host_without_control_groups_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    with pytest.raises(SandboxError, match="no control groups"):
        cgroups.hierarchies()
