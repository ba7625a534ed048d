"""Which nodes the sandbox has: read from an inventory, kept in a small file."""

import ipaddress
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pigsty_cli.bootstrap import layout, settings
from pigsty_cli.sandbox.errors import SandboxError


@dataclass(frozen=True)
class NodeSpec:
    """One node.

    Args:
        host: its IPv4 address, which is its key in the inventory and its minion id.
        name: its neutral name, from the address's last octet; states give it its real one later.
    """

    host: str
    name: str

    @property
    def link(self) -> str:
        """The host's end of its network cable, as systemd-nspawn names it."""
        return f"vb-{self.name}"


@dataclass(frozen=True)
class SandboxSpec:
    """All nodes and the network that they share.

    Args:
        nodes: in the order of their addresses.
        admin: address of the node with the Salt master.
        source: the repository that the admin node sees.
    """

    nodes: tuple[NodeSpec, ...]
    admin: str
    source: str

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The /24 of the nodes."""
        return ipaddress.IPv4Network(f"{self.admin}/24", strict=False)

    @property
    def gateway(self) -> str:
        """The host's own address on the bridge."""
        return str(self.network[1])

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        new.replace(path)

    @classmethod
    def load(cls, path: Path) -> "SandboxSpec | None":
        """Read what `save` wrote.

        Returns:
            None when there is no sandbox, or one of another version, which only `up` and `destroy`
            can do something with.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            nodes = tuple(NodeSpec(**node) for node in data["nodes"])
            return cls(nodes, data["admin"], data["source"])
        except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
            return None

    @classmethod
    def from_inventory(cls, path: Path) -> "SandboxSpec":
        """Read the hosts of an inventory.

        Args:
            path: the inventory.

        Raises:
            BootstrapError: it is no inventory, or has no hosts.
            SandboxError: its hosts don't share one network of 254 addresses.
        """
        read = settings.read(path)
        network = ipaddress.IPv4Network(f"{read.admin}/24", strict=False)
        if strays := [host for host in read.hosts if ipaddress.IPv4Address(host) not in network]:
            raise SandboxError(
                f"{path}: the sandbox has one network, {network}; not in it: {', '.join(strays)}"
            )
        if taken := {str(network[number]) for number in (0, 1, 255)} & set(read.hosts):
            raise SandboxError(f"{path}: no node can have the address {taken.pop()}")
        nodes = tuple(NodeSpec(host, f"node-{host.rsplit('.', 1)[1]}") for host in read.hosts)
        return cls(nodes, read.admin, str(layout.REPOSITORY))
