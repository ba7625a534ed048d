"""One node: its disk, its life and death, commands in it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until
from pigsty_cli.sandbox import cgroups, mounts, network
from pigsty_cli.sandbox.errors import CommandError, SandboxError
from pigsty_cli.sandbox.paths import Paths
from pigsty_cli.sandbox.process import run
from pigsty_cli.sandbox.spec import NodeSpec

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
}
POWEROFF = signal.SIGRTMIN + 4
"""systemd as process 1 takes it as `systemctl poweroff`."""


@dataclass(frozen=True)
class Node:
    """A node on this host.

    Args:
        spec: its name and address.
        paths: the sandbox's folders.
    """

    spec: NodeSpec
    paths: Paths

    @property
    def folder(self) -> Path:
        """Its folder on the host."""
        return self.paths.nodes / self.spec.name

    @property
    def group(self) -> str:
        """The name of its control groups."""
        return self.paths.group(self.spec.name)

    @property
    def root(self) -> Path:
        """Where its disk is mounted."""
        return self.folder / "root"

    @property
    def _layers(self) -> Path:
        return self.folder / "layers"

    @property
    def console(self) -> Path:
        """What it printed while it booted and shut down."""
        return self.folder / "console.log"

    @property
    def init(self) -> int | None:
        """The host's id of its process 1; None when it is not running."""
        return cgroups.init_of(self.group)

    @property
    def hostname(self) -> str:
        """The name that it gave itself at last; empty when it has no disk."""
        try:
            return (self.folder / "upper/etc/hostname").read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def uptime(self) -> float | None:
        """Return the seconds since its boot; None when it is not running."""
        pid = self.init
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        started = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0]) - started

    @property
    def layers(self) -> list[Path]:
        """The image that its disk was made on; empty when it has no disk yet."""
        try:
            return [Path(line) for line in self._layers.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            return []

    def mount(self, layers: Sequence[Path] = ()) -> None:
        """Mount its disk; the node must not run. What is left of a crash goes.

        Args:
            layers: the folders of the image for a new disk, the topmost first. A disk that exists
                stays on the image that it was made on: what it holds is what differs from that.

        Raises:
            SandboxError: it has no disk and no image was given, or its disk's image is gone.
        """
        self.release()
        if not (self.layers or layers):
            raise SandboxError(f"{self.spec.name} has no disk: `pigsty sandbox up`")
        if missing := [str(layer) for layer in self.layers if not layer.is_dir()]:
            raise SandboxError(
                f"{self.spec.name}: the image under its disk was removed ({', '.join(missing)}): "
                "`pigsty sandbox destroy`, then `up`"
            )
        upper, work = self.folder / "upper", self.folder / "work"
        if work.exists():
            shutil.rmtree(work)  # the kernel wants it empty; a power cut leaves something in it
        for layer in self.layers or layers:
            os.utime(layer)  # images that nobody uses are removed some day
        mounts.overlay(self.layers or layers, upper, work, self.root)
        if not self.layers:
            self._layers.write_text("".join(f"{layer}\n" for layer in layers), encoding="utf-8")

    def launch(self, binds: Mapping[str, str], read_only_binds: Mapping[str, str]) -> None:
        """Switch it on and return at once; its disk must be mounted.

        Args:
            binds: folders of the host and where the node sees them, writable.
            read_only_binds: the same, read-only.
        """
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            "--settings=no",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            f"--network-bridge={network.BRIDGE}",
            f"--machine={self.spec.name}",
            f"--directory={self.root}",
            *(f"--bind={source}:{target}" for source, target in binds.items()),
            *(f"--bind-ro={source}:{target}" for source, target in read_only_binds.items()),
        ]
        network.remove_link(self.spec.link)
        joins = [str(path) for path in cgroups.create(self.group)]
        launcher = Path(__file__).with_name("launch.py")
        with self.console.open("ab") as log:
            subprocess.Popen(
                [sys.executable, str(launcher), *joins, "--", *nspawn],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # it outlives us and our terminal
                # Debian 13's systemd needs the unified hierarchy even where the host mixes both.
                env=ENVIRONMENT | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )

    def wait_booted(self) -> None:
        """Wait until it has started all that it starts at boot.

        Raises:
            SandboxError: it did not; the error names the console's log and the failed units.
        """
        try:
            wait_until(lambda: self.init is not None, "sandbox.boot", f"{self.spec.name} starts")
            wait_until(self._systemd_answers, "sandbox.boot", f"{self.spec.name} boots")
        except DeadlineExceeded as error:
            raise SandboxError(f"{error}; its console: {self.console}") from error
        # Its exit code tells of failed units; a node with one is up all the same.
        self.run(
            ["systemctl", "is-system-running", "--wait"],
            check=False,
            timeout=DEADLINES["sandbox.boot"],
        )

    def _systemd_answers(self) -> bool:
        done = self.run(["systemctl", "is-system-running"], check=False)
        return done.stdout.strip() in ("starting", "running", "degraded")

    def enter(self, command: Sequence[str]) -> list[str]:
        """Return the host's command that runs a command in the node.

        Raises:
            SandboxError: the node is not running.
        """
        pid = self.init
        if pid is None:
            raise SandboxError(
                f"{self.spec.name} ({self.spec.host}) is not running: "
                f"`pigsty sandbox start {self.spec.host}`"
            )
        return ["nsenter", "-t", str(pid), "-a", "--", *command]

    def run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        stdin: str | None = None,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the node as root and capture what it prints.

        Args:
            command: the command and its arguments.
            check: raise when it fails.
            stdin: text for its standard input.
            timeout: seconds; None waits for ever.

        Raises:
            SandboxError: the node is not running, or the command failed and `check` is set.
        """
        return run(self.enter(command), check=check, stdin=stdin, env=ENVIRONMENT, timeout=timeout)

    def become(self, command: Sequence[str]) -> None:
        """Replace this process by a command in the node, with our terminal, input and output.

        Raises:
            SandboxError: the node is not running, or nsenter is missing.
        """
        words = self.enter(command)
        environment = ENVIRONMENT | {"TERM": os.environ.get("TERM", "dumb")}
        try:
            os.execvpe(words[0], words, environment)  # noqa: S606 - an argument list, no shell
        except FileNotFoundError as error:
            raise CommandError(words, 127, "nsenter is missing") from error

    def kill(self) -> None:
        """Cut its power: nothing in it has time to do anything."""
        cgroups.kill(self.group)
        self.release()

    def ask_off(self) -> None:
        """Ask it to shut down in order and return at once; no error when it is off."""
        if (pid := self.init) is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(pid, POWEROFF)

    def power_off(self) -> None:
        """Shut it down in order; a node that does not is cut off after its deadline."""
        self.ask_off()
        with contextlib.suppress(DeadlineExceeded):  # what did not end in order is killed next
            wait_until(
                lambda: not cgroups.processes(self.group),
                "sandbox.poweroff",
                f"{self.spec.name} powers off",
            )
        self.kill()

    def release(self) -> None:
        """Give back what it had of the kernel: mounts, control groups, cable."""
        mounts.unmount_all(self.folder)
        cgroups.remove(self.group)
        network.remove_link(self.spec.link)

    def remove(self) -> None:
        """Cut its power and delete its disk."""
        self.kill()
        if self.folder.exists():
            shutil.rmtree(self.folder)
