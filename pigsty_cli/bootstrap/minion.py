"""A minion: who it is, whom it trusts, its key and its service."""

from pigsty_cli.bootstrap import keys, layout
from pigsty_cli.bootstrap.files import Tree


def prepare(tree: Tree, *, host: str, master: str, master_key: bytes) -> bytes:
    """Make a machine a minion.

    Args:
        tree: its files.
        host: its address, which is its minion id.
        master: the master's address.
        master_key: the master's public key, so that the first contact needs no trust.

    Returns:
        The minion's public key, which the master must know. A key that is there is kept.
    """
    tree.folder("/etc/salt/minion.d", 0o755)
    for source in sorted((layout.REPOSITORY / "salt/minion.d").glob("*.conf")):
        tree.write(f"/etc/salt/minion.d/{source.name}", source.read_bytes(), 0o644)
    tree.write("/etc/salt/minion.d/local.conf", f"id: {host}\nmaster: {master}\n", 0o644)
    tree.folder(layout.MINION_PKI, 0o700)
    public = own_key(tree)
    tree.write(f"{layout.MINION_PKI}/minion_master.pub", master_key, 0o644)
    service(tree, "salt-minion")
    tree.link(f"{layout.COMMANDS}/salt-call", f"{layout.VENV}/bin/salt-call")
    return public


def own_key(tree: Tree) -> bytes:
    """Return a minion's public key; the pair is made when there is none."""
    private = f"{layout.MINION_PKI}/minion.pem"
    if not tree.exists(private):
        tree.write(private, keys.generate(), 0o400)
    public = keys.public_of(tree.path(private).read_bytes())
    tree.write(f"{layout.MINION_PKI}/minion.pub", public, 0o644)
    return public


def service(tree: Tree, name: str) -> None:
    """Install one of the repository's systemd units and enable it at boot."""
    unit = (layout.REPOSITORY / f"salt/systemd/{name}.service").read_bytes()
    tree.write(f"{layout.UNITS}/{name}.service", unit, 0o644)
    tree.link(f"{layout.ENABLED}/{name}.service", f"{layout.UNITS}/{name}.service")
