"""The sandbox as a whole: what each `pigsty sandbox` command does."""

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pigsty.deadlines import wait_until
from pigsty_cli.bootstrap import layout, services
from pigsty_cli.bootstrap.files import Tree
from pigsty_cli.sandbox import faults, images, mounts, network, preflight, seed
from pigsty_cli.sandbox.errors import PreflightError, SandboxError
from pigsty_cli.sandbox.node import Node
from pigsty_cli.sandbox.paths import Paths
from pigsty_cli.sandbox.progress import Progress
from pigsty_cli.sandbox.spec import NodeSpec, SandboxSpec

PUBLISH_PORT = 4505
DEFAULT_INVENTORY = layout.REPOSITORY / "pillar/inventory/sandbox.yml"


class Sandbox:
    """All nodes on this host.

    Every method can be called in any state of the host, also after a crash in the middle of
    another, and again.

    Args:
        paths: its folders; those of the environment by default.
        progress: told of each step; by default nothing is.
    """

    def __init__(self, paths: Paths | None = None, progress: Progress | None = None) -> None:
        self.paths = paths or Paths.from_env()
        self._progress = progress or Progress(quiet=True)

    @property
    def spec(self) -> SandboxSpec | None:
        """What was booted last; None when there is no sandbox."""
        return SandboxSpec.load(self.paths.spec)

    def up(self, inventory: Path | None = None) -> None:
        """Boot a node for each host of an inventory, with Salt answering on all of them.

        Args:
            inventory: replaces the admin node's inventory. Without it, the one that the sandbox
                was made with, or the ready-made one for a new sandbox.

        Raises:
            PreflightError: this host can't carry it, or the sandbox has nodes that the inventory
                lacks; nothing was changed.
            BootstrapError: the inventory can't be read.
            SandboxError: a command of the host failed, or a node does not boot.
        """
        preflight.check(self.paths)
        old = self.spec
        path = inventory or (self.paths.inventory if old else DEFAULT_INVENTORY)
        spec = SandboxSpec.from_inventory(path)
        text = path.read_bytes()
        if old and (lost := set(old.nodes) - set(spec.nodes)):
            names = ", ".join(sorted(node.host for node in lost))
            raise PreflightError(
                f"the sandbox has nodes that {path} lacks ({names}): `pigsty sandbox destroy` first"
            )
        with self._locked():
            preflight.install_tools(self._progress)
            nodes = [Node(node, self.paths) for node in spec.nodes]
            layers = () if all(node.layers for node in nodes) else self._build()
            with self._progress.step("network"):
                network.up(spec, self.paths.forwarding)
                faults.up()
            if old and old.source != spec.source and self.node(old.admin).init:
                with self._progress.step(f"the admin node changes over to {spec.source}"):
                    self.node(old.admin).power_off()
            spec.save(self.paths.spec)
            self.paths.inventory.write_bytes(text)
            self._boot(spec, nodes, layers, replace=inventory is not None)
        self._progress.note(f"{len(nodes)} nodes are up ({self._progress.elapsed:.0f} s in all)")

    def start(self, names: Sequence[str]) -> None:
        """Switch nodes on again, with the disks that they had; one that runs is left alone.

        Args:
            names: addresses or node names; none means all.

        Raises:
            SandboxError: no such node, or it does not boot.
        """
        spec = self._existing()
        nodes = [self.node(name) for name in names] or self.nodes()
        with self._locked():
            network.up(spec, self.paths.forwarding)
            faults.up()
            stopped = [node for node in nodes if node.init is None]
            for node in stopped:
                node.mount()
                self._launch(node, spec)
            for node in stopped:
                with self._progress.step(f"{node.spec.name} boots"):
                    node.wait_booted()

    def down(self) -> None:
        """Shut all nodes down in order and give back everything but their disks."""
        with self._locked():
            nodes = self.nodes()
            for node in nodes:
                node.ask_off()
            for node in nodes:
                with self._progress.step(f"{node.spec.name} shuts down"):
                    node.power_off()
            self._release_host()

    def destroy(self, *, cache: bool = False) -> None:
        """Remove the nodes and their disks, and whatever a crash has left of them.

        Args:
            cache: also the images, wheels and package archives.
        """
        preflight.require_root()
        with self._locked(), self._progress.step("removing the nodes"):
            for node in self.nodes():
                node.remove()
            self._release_host()
            for path in (self.paths.spec, self.paths.inventory):
                path.unlink(missing_ok=True)
        if cache:
            with self._progress.step("removing the caches"):
                images.remove_all(self.paths)

    def bare(self, name: str) -> None:
        """Throw a node's disk away and boot it as the machine that one buys: Debian, and ssh.

        Args:
            name: its address or name. It keeps its address, and root of the admin node may log in.

        Raises:
            SandboxError: no such node, it is the admin node, or it doesn't boot.
        """
        spec = self._existing()
        node = self.node(name)
        if node.spec.host == spec.admin:
            raise SandboxError(f"{name} is the admin node, which adds the others")
        head = self.node(spec.admin)
        if head.init is None:
            raise SandboxError(f"the admin node doesn't run: `pigsty sandbox start {spec.admin}`")
        with self._locked():
            _salt, base = self._build()
            with self._progress.step(f"{node.spec.name} gets a bare disk"):
                node.remove()
                node.mount((base,))
                tree = Tree(node.root)
                seed.machine(tree, node.spec, spec)
                seed.trust(tree, Tree(head.root))
            self._launch(node, spec)
            with self._progress.step(f"{node.spec.name} ({node.spec.host}) boots"):
                node.wait_booted()

    def kill(self, name: str) -> None:
        """Cut a node's power; no error when it is off.

        Raises:
            SandboxError: no such node.
        """
        self.node(name).kill()

    def partition(self, name: str, others: Sequence[str] = ()) -> None:
        """Cut a node's network.

        Args:
            name: its address or name.
            others: the nodes that it no longer reaches; none means nothing at all.

        Raises:
            SandboxError: no such node, or the sandbox is down.
        """
        self._existing()
        links = [self.node(other).spec.link for other in others]
        faults.partition(self.node(name).spec.link, links)

    def heal(self, name: str | None = None) -> None:
        """Undo the partitions of one node, or all.

        Raises:
            SandboxError: no such node.
        """
        faults.heal(self.node(name).spec.link if name else None)

    def status(self) -> list[dict[str, Any]]:
        """Return what is known of each node.

        Returns:
            Mappings with `host`, `name`, `state` (running or stopped) and `uptime` (whole seconds;
            None when it is stopped).
        """
        rows = []
        for node in self.nodes():
            uptime = node.uptime()
            rows.append(
                {
                    "host": node.spec.host,
                    "name": node.hostname or node.spec.name,
                    "state": "stopped" if uptime is None else "running",
                    "uptime": None if uptime is None else round(uptime),
                }
            )
        return rows

    def nodes(self) -> list[Node]:
        """Return all nodes: those of the inventory, and any other that left something here."""
        specs = {node.name: node for node in (self.spec.nodes if self.spec else ())}
        if self.paths.nodes.is_dir():
            for folder in sorted(self.paths.nodes.iterdir()):
                specs.setdefault(folder.name, NodeSpec("", folder.name))
        return [Node(spec, self.paths) for spec in specs.values()]

    def node(self, name: str) -> Node:
        """Find a node.

        Args:
            name: its address, its neutral name, or the host name that it has by now.

        Raises:
            SandboxError: there is none.
        """
        nodes = self.nodes()
        for node in nodes:
            if name in (node.spec.host, node.spec.name, node.hostname):
                return node
        if not nodes:
            raise SandboxError("there is no sandbox: `pigsty sandbox up`")
        known = ", ".join(f"{node.spec.host} ({node.hostname})" for node in nodes)
        raise SandboxError(f"no node {name!r}; there are {known}")

    def build_images(self) -> None:
        """Build the images that a new node needs; `up` does it by itself.

        Raises:
            SandboxError: a command of the host failed.
        """
        with self._locked():
            preflight.install_tools(self._progress)
            self._build()

    def _build(self) -> tuple[Path, ...]:
        used = {layer for node in self.nodes() for layer in node.layers}
        return images.build(self.paths, self._progress, used)

    def _existing(self) -> SandboxSpec:
        preflight.require_root()
        if (spec := self.spec) is None:
            raise SandboxError("there is no sandbox: `pigsty sandbox up`")
        return spec

    def _boot(
        self,
        spec: SandboxSpec,
        nodes: Sequence[Node],
        layers: Sequence[Path],
        *,
        replace: bool,
    ) -> None:
        stopped = [node for node in nodes if node.init is None]
        trees = {node.spec.host: Tree(node.root) for node in nodes}
        with self._progress.step("disks, keys and configuration"):
            for node in stopped:
                node.mount(layers)
                seed.machine(trees[node.spec.host], node.spec, spec)
            seed.salt(trees, spec, self.paths.inventory, replace=replace)
        for node in stopped:
            self._launch(node, spec)
        for node in stopped:
            with self._progress.step(f"{node.spec.name} ({node.spec.host}) boots"):
                node.wait_booted()
        for node in nodes:
            if node not in stopped:
                for line in services.refresh(trees[node.spec.host], node.run):
                    self._progress.note(f"{node.spec.name}: {line}")
        with self._progress.step("all minions answer the master"):
            self._wait_salt(spec)

    def _launch(self, node: Node, spec: SandboxSpec) -> None:
        binds = {}
        sources = {}
        if node.spec.host == spec.admin:
            binds[str(self.paths.archives)] = "/var/cache/apt/archives"
            sources[str(layout.REPOSITORY)] = layout.SOURCE
        node.launch(binds, sources)

    def _wait_salt(self, spec: SandboxSpec) -> None:
        head = self.node(spec.admin)
        hosts = {node.host for node in spec.nodes}
        peers = ["ss", "-Htn", "state", "established", "sport", "=", f":{PUBLISH_PORT}"]
        ping = ["salt", "*", "test.ping", "--out=json", "--static", "--timeout=5"]

        def connected() -> bool:
            lines = head.run(peers, check=False).stdout.splitlines()
            return {line.split()[3].rpartition(":")[0] for line in lines} >= hosts

        def all_answer() -> bool:
            done = head.run(ping, check=False)
            try:
                answers = json.loads(done.stdout or "{}")
            except json.JSONDecodeError:  # an error, in prose
                return False
            return {host for host, answer in answers.items() if answer is True} >= hosts

        # A ping that a minion misses costs Salt's whole time-out; a look at the links is free.
        wait_until(connected, "salt.minion", "all minions connect to the master")
        wait_until(all_answer, "salt.minion", "all minions answer test.ping")

    def _release_host(self) -> None:
        faults.down()
        network.down(self.paths.forwarding)
        mounts.unmount_all(self.paths.state)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one command at a time change the sandbox."""
        preflight.require_root()
        self.paths.state.mkdir(parents=True, exist_ok=True)
        with self.paths.lock.open("w") as lock:

            def acquired() -> bool:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            if not acquired():
                self._progress.note("another `pigsty sandbox` command is at work: waiting for it")
                wait_until(acquired, "sandbox.lock", "the other `pigsty sandbox` command ends")
            yield
