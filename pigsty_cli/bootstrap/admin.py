"""An admin node: inventory, deployment key, certificate authority, Salt master, its own minion."""

import secrets

from pigsty_cli.bootstrap import keys, layout, minion
from pigsty_cli.bootstrap.errors import BootstrapError
from pigsty_cli.bootstrap.files import Tree
from pigsty_cli.bootstrap.settings import Settings

CA_DAYS = 3650


def prepare(tree: Tree, settings: Settings, *, inventory: bytes | None) -> bytes:
    """Make a machine the admin node; what is there and right is kept, secrets always.

    Args:
        tree: its files.
        settings: from the inventory.
        inventory: the text that becomes /etc/pigsty/pigsty.yml; None keeps the one that is there.

    Returns:
        The master's public key, which every minion gets beforehand.

    Raises:
        BootstrapError: there is no CA and the inventory forbids to make one, or half of one.
    """
    tree.folder("/etc/pigsty", 0o750)
    tree.folder("/etc/pigsty/files", 0o755)
    if inventory is not None:
        tree.write(layout.INVENTORY, inventory, 0o640)
    if not tree.exists(layout.SECRET_KEY):
        tree.write(layout.SECRET_KEY, secrets.token_hex(32) + "\n", 0o600)
    _certificate_authority(tree, settings)
    master_key = _master(tree)
    public = minion.prepare(tree, host=settings.admin, master=settings.admin, master_key=master_key)
    accept(tree, settings.admin, public)
    for name in ("salt", "salt-key", "salt-run"):
        tree.link(f"{layout.COMMANDS}/{name}", f"{layout.VENV}/bin/{name}")
    return master_key


def knows(tree: Tree, host: str) -> bool:
    """Whether the master has a minion's key."""
    return tree.exists(f"{layout.MASTER_PKI}/minions/{host}")


def accept(tree: Tree, host: str, public: bytes) -> None:
    """Make a minion's key known to the master before the minion calls.

    Args:
        tree: the admin node's files.
        host: the minion's id.
        public: its public key, from `minion.prepare`.
    """
    tree.write(f"{layout.MASTER_PKI}/minions/{host}", public, 0o644)
    for other in ("minions_pre", "minions_denied", "minions_rejected"):
        # a call before this with another key left a trace there
        tree.remove(f"{layout.MASTER_PKI}/{other}/{host}")


def _certificate_authority(tree: Tree, settings: Settings) -> None:
    tree.folder("/etc/pigsty/pki", 0o755)
    parts = [tree.exists(layout.CA_KEY), tree.exists(layout.CA_CERTIFICATE)]
    if all(parts):
        return
    if any(parts):
        raise BootstrapError(
            f"of {layout.CA_KEY} and {layout.CA_CERTIFICATE} only one is there: restore the other, "
            "or move this one away to have a new CA made (all certificates are then issued anew)"
        )
    if not settings.ca_create:
        raise BootstrapError(
            "ca_create is false and there is no CA: put its key and certificate at "
            f"{layout.CA_KEY} and {layout.CA_CERTIFICATE}"
        )
    from pigsty.pki import create_ca  # slow to import, and seldom needed

    key, certificate = create_ca(settings.ca_cn, CA_DAYS)
    tree.write(layout.CA_KEY, key, 0o600)
    tree.write(layout.CA_CERTIFICATE, certificate, 0o644)


def _master(tree: Tree) -> bytes:
    """Install the master's configuration, key and service; returns its public key."""
    tree.folder("/etc/salt/master.d", 0o755)
    for source in sorted((layout.REPOSITORY / "salt/master.d").glob("*.conf")):
        tree.write(f"/etc/salt/master.d/{source.name}", source.read_bytes(), 0o644)
    tree.folder(layout.MASTER_PKI, 0o700)
    if not tree.exists(layout.MASTER_KEY):
        tree.write(layout.MASTER_KEY, keys.generate(), 0o400)
    public = keys.public_of(tree.path(layout.MASTER_KEY).read_bytes())
    tree.write(f"{layout.MASTER_PKI}/{layout.MASTER_ID}.pub", public, 0o644)
    for half in ("pem", "pub"):
        tree.link(f"{layout.MASTER_PKI}/master.{half}", f"{layout.MASTER_ID}.{half}")
    minion.service(tree, "salt-master")
    return public
