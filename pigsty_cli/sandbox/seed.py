"""What a node's disk gets before it boots: name, address, the admin node's way out, Salt."""

import secrets
from pathlib import Path

from pigsty.render import ssh
from pigsty_cli.bootstrap import admin, layout, minion, settings
from pigsty_cli.bootstrap.files import Tree
from pigsty_cli.sandbox import network
from pigsty_cli.sandbox.spec import NodeSpec, SandboxSpec

PIGSTY = f"""#!{layout.VENV}/bin/python
from pigsty_cli.main import main

main()
"""


def machine(tree: Tree, node: NodeSpec, spec: SandboxSpec) -> None:
    """Make a disk that of one machine; what states may change later is written only once.

    Args:
        tree: its files.
        node: which machine it is.
        spec: all of them.
    """
    is_admin = node.host == spec.admin
    gateway = f"Gateway={spec.gateway}\n" if is_admin else ""
    tree.write(
        "/etc/systemd/network/10-sandbox.network",
        f"[Match]\nName=host0\n\n[Network]\nAddress={node.host}/24\n{gateway}"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n",
        0o644,
    )
    done = "/var/lib/pigsty/.seeded"
    if tree.exists(done):
        return
    # With an empty machine-id systemd would treat each boot as the first one of all.
    tree.write("/etc/machine-id", secrets.token_hex(16) + "\n", 0o444)
    tree.write("/etc/hostname", f"{node.name}\n", 0o644)
    tree.write("/etc/hosts", f"127.0.0.1 localhost\n{node.host} {node.name}\n", 0o644)
    servers = network.resolvers() if is_admin else []
    lines = [*(f"nameserver {server}" for server in servers), "options timeout:1 attempts:2"]
    tree.write("/etc/resolv.conf", "\n".join(lines) + "\n", 0o644)
    if not is_admin:
        for path in (
            tree.path("/etc/apt/sources.list"),
            *tree.path("/etc/apt/sources.list.d").glob("*"),
        ):
            path.unlink(missing_ok=True)
    key = ssh.key_pair(secrets.token_hex(32), f"root@{node.name}")
    tree.write("/etc/ssh/ssh_host_ed25519_key", key.private, 0o600)
    tree.write("/etc/ssh/ssh_host_ed25519_key.pub", f"{key.public}\n", 0o644)
    tree.write(done, "", 0o644)


def trust(tree: Tree, head: Tree) -> None:
    """Let root of the admin node log in to another one, as whoever installed it would have.

    Args:
        tree: the other one's files.
        head: the admin node's files; it gets a key pair if it has none.
    """
    private, public = "/root/.ssh/id_ed25519", "/root/.ssh/id_ed25519.pub"
    head.folder("/root/.ssh", 0o700)
    if not head.exists(private) or not head.exists(public):
        key = ssh.key_pair(secrets.token_hex(32), "root@admin")
        head.write(private, key.private, 0o600)
        head.write(public, f"{key.public}\n", 0o644)
    tree.folder("/root/.ssh", 0o700)
    tree.write("/root/.ssh/authorized_keys", head.path(public).read_bytes(), 0o600)


def salt(trees: dict[str, Tree], spec: SandboxSpec, inventory: Path, *, replace: bool) -> None:
    """Make one disk that of the admin node and all of them minions that it knows.

    Args:
        trees: the disks by host.
        spec: the nodes.
        inventory: the one that they come from.
        replace: whether it takes the place of one that the admin node has already.

    Raises:
        BootstrapError: the inventory can't be read, or the CA is not whole.
    """
    head = trees[spec.admin]
    new = replace or not head.exists(layout.INVENTORY)
    text = inventory.read_bytes() if new else None
    master_key = admin.prepare(head, settings.read(inventory), inventory=text)
    head.write(f"{layout.COMMANDS}/pigsty", PIGSTY, 0o755)
    for host, tree in trees.items():
        if host != spec.admin:
            public = minion.prepare(tree, host=host, master=spec.admin, master_key=master_key)
            admin.accept(head, host, public)
