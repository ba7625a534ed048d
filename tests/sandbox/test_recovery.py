"""The sandbox itself: faults do what they say, and `up` and `destroy` mend whatever a crash leaves.

It runs two nodes of its own, in a network and mount namespace of their own, so that the nodes of
the other scenarios are left alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pigsty.deadlines import wait_until
from pigsty_cli.sandbox import cgroups
from pigsty_cli.sandbox.lifecycle import Sandbox
from pigsty_cli.sandbox.paths import Paths

FIRST, SECOND, GATEWAY = "10.10.20.10", "10.10.20.11", "10.10.20.1"
INVENTORY = f"""
all:
  vars: {{admin_ip: {FIRST}}}
  children:
    infra: {{hosts: {{{FIRST}: {{infra_seq: 1}}}}}}
    nodes: {{hosts: {{{SECOND}: }}}}
"""


class Private:
    """A sandbox that shares nothing with this host but the caches and the kernel."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "state", Paths.from_env().cache)
        self.inventory = folder / "pigsty.yml"
        self.inventory.write_text(INVENTORY, encoding="utf-8")
        words = ["unshare", "-n", "-m", "--propagation", "private", "sleep", "infinity"]
        self.holder = subprocess.Popen(words)
        entered = Path(f"/proc/{self.holder.pid}/ns/net")
        wait_until(
            lambda: entered.readlink() != Path("/proc/self/ns/net").readlink(),
            "sandbox.release",
            "the namespaces are there",
        )
        # /sys shows the network of whoever mounted it; the control groups below it stay the host's.
        self.run(["mount", "--rbind", "/sys/fs/cgroup", "/mnt"])
        self.run(["mount", "-t", "sysfs", "sysfs", "/sys"])
        self.run(["mount", "--rbind", "/mnt", "/sys/fs/cgroup"])

    def words(self, command: Sequence[str]) -> list[str]:
        """The command, to be run inside."""
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m", "--", *command]

    def run(self, command: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command inside, which must succeed unless `check` says otherwise."""
        settings = {"check": True, "capture_output": True, "text": True, **options}
        must = settings.pop("check")
        environment = {
            **os.environ,
            "PIGSTY_SANDBOX_DIR": str(self.paths.state),
            "PIGSTY_DEBUG": "1",
        }
        done = subprocess.run(self.words(command), env=environment, **settings)  # type: ignore[call-overload]
        assert done.returncode == 0 or not must, f"{command}: {done.returncode}\n{done.stderr}"
        return done  # type: ignore[no-any-return]

    def sandbox(self, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run `pigsty sandbox …` inside."""
        return self.run(
            [str(Path(sys.executable).with_name("pigsty")), "sandbox", *words], **options
        )

    def up(self) -> None:
        """Boot it, Salt answering."""
        self.sandbox("up", "-i", str(self.inventory))

    def reaches(self, source: str, target: str) -> bool:
        """Whether a node gets an answer from an address."""
        ping = self.sandbox("exec", source, "--", "ping", "-c", "1", "-W", "1", target, check=False)
        return ping.returncode == 0

    def states(self) -> list[str]:
        """The state of each node."""
        return [row["state"] for row in json.loads(self.sandbox("status", "-o", "json").stdout)]

    def groups(self) -> list[str]:
        """The names of the nodes' control groups."""
        return [self.paths.group(name) for name in ("node-10", "node-11")]

    def murder(self) -> None:
        """Kill all its processes, as the end of a session does; mounts and bridge stay."""
        for pid in [pid for group in self.groups() for pid in cgroups.processes(group)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it ended together with its node's process 1
                continue
        wait_until(
            lambda: not any(cgroups.processes(group) for group in self.groups()),
            "sandbox.kill",
            "all processes end",
        )

    def left(self) -> list[str]:
        """What is left of it in the kernel."""
        mounts = self.run(["cat", "/proc/self/mountinfo"]).stdout.splitlines()
        links = self.run(["ls", "/sys/class/net"]).stdout.split()
        return [
            *(line for line in mounts if str(self.paths.state) in line),
            *(link for link in links if link != "lo"),
            *(
                str(path)
                for group in self.groups()
                for path in cgroups.groups(group)
                if path.exists()
            ),
            *self.run(["nft", "list", "ruleset"]).stdout.splitlines(),
        ]

    def close(self) -> None:
        """End the nodes and the namespaces."""
        self.sandbox("destroy", check=False)
        self.holder.kill()
        self.holder.wait()


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    """A private sandbox, up. Its images are built before: its namespace has no way out."""
    Sandbox().build_images()
    private = Private(tmp_path_factory.mktemp("private"))
    try:
        private.up()
        yield private
    finally:
        private.close()


def test_a_commands_exit_code_and_input_pass_through(private: Private) -> None:
    assert private.sandbox("exec", FIRST, "--", "sh", "-c", "exit 7", check=False).returncode == 7
    assert private.sandbox("exec", "node-11", "--", "cat", input="hello").stdout == "hello"


def test_only_the_admin_node_has_a_route_out(private: Private) -> None:
    def routes(host: str) -> str:
        return private.sandbox("exec", host, "--", "ip", "route").stdout

    assert f"default via {GATEWAY}" in routes(FIRST)
    assert "default" not in routes(SECOND)


def test_no_packet_for_a_node_takes_the_default_route(private: Private) -> None:
    assert "blackhole 10.10.20.0/24" in private.run(["ip", "route"]).stdout


def test_a_partition_from_one_node_leaves_the_others(private: Private) -> None:
    private.sandbox("partition", SECOND, "--from", FIRST)
    assert not private.reaches(SECOND, FIRST)
    assert not private.reaches(FIRST, SECOND)
    assert private.reaches(SECOND, GATEWAY)
    private.sandbox("heal", FIRST)
    assert private.reaches(SECOND, FIRST)


def test_a_partition_from_everything_is_from_everything(private: Private) -> None:
    private.sandbox("partition", SECOND)
    assert not private.reaches(SECOND, FIRST)
    assert not private.reaches(SECOND, GATEWAY)
    private.sandbox("heal")
    assert private.reaches(SECOND, GATEWAY)


def test_after_a_power_cut_the_same_disk_boots(private: Private) -> None:
    private.sandbox("exec", SECOND, "--", "touch", "/var/lib/kept")
    private.sandbox("kill", SECOND)
    assert private.states() == ["running", "stopped"]
    refused = private.sandbox("exec", SECOND, "--", "true", check=False)
    assert (refused.returncode, "is not running" in refused.stderr) == (1, True)
    private.sandbox("start", SECOND)
    private.sandbox("exec", SECOND, "--", "test", "-e", "/var/lib/kept")


def test_a_node_can_reboot_itself(private: Private) -> None:
    before = cgroups.init_of(private.groups()[1])
    private.sandbox("exec", SECOND, "--", "systemctl", "reboot")
    wait_until(
        lambda: cgroups.init_of(private.groups()[1]) not in (None, before),
        "sandbox.poweroff",
        "the node boots again",
    )
    wait_until(lambda: private.reaches(SECOND, FIRST), "sandbox.boot", "its network is up")


def test_down_gives_everything_back_but_the_disks(private: Private) -> None:
    private.sandbox("down")
    assert private.left() == []
    assert private.states() == ["stopped", "stopped"]
    private.up()
    private.sandbox("exec", SECOND, "--", "test", "-e", "/var/lib/kept")


def test_up_works_after_all_its_processes_were_killed(private: Private) -> None:
    private.murder()
    assert private.states() == ["stopped", "stopped"]
    assert private.left()
    private.up()
    assert private.states() == ["running", "running"]


def test_destroy_works_after_all_its_processes_were_killed(private: Private) -> None:
    private.murder()
    private.sandbox("destroy")
    assert private.left() == []
    assert private.states() == []
    assert list((private.paths.state / "nodes").iterdir()) == []
    private.sandbox("destroy")  # and again


def test_up_finishes_what_a_killed_up_began(private: Private) -> None:
    command = [str(Path(sys.executable).with_name("pigsty")), "sandbox", "up"]
    environment = {**os.environ, "PIGSTY_SANDBOX_DIR": str(private.paths.state)}
    killed = subprocess.Popen(
        private.words([*command, "-i", str(private.inventory)]), env=environment
    )
    wait_until(
        lambda: cgroups.init_of(private.groups()[0]) is not None, "sandbox.boot", "a node starts"
    )
    killed.kill()
    killed.wait()
    private.up()
    answers = private.sandbox("exec", FIRST, "--", "salt", "*", "test.ping", "--out=txt").stdout
    assert sorted(answers.split()) == sorted([f"{FIRST}:", "True", f"{SECOND}:", "True"])
