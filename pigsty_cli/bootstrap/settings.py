"""What the bootstrap must know of an inventory: its hosts, the admin node, the CA."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from pigsty_cli.bootstrap.errors import BootstrapError


@dataclass(frozen=True)
class Settings:
    """The hosts, and which of them is the admin node.

    Args:
        admin: the admin node's address.
        hosts: all hosts in the order of their addresses.
        ca_create: whether a missing CA may be made.
        ca_cn: the name of the CA.
    """

    admin: str
    hosts: tuple[str, ...]
    ca_create: bool = True
    ca_cn: str = "pigsty-ca"


def read(path: Path) -> Settings:
    """Read the settings out of an inventory.

    The admin node is the host that `admin_ip` names, else the first of the group `infra`, else the
    first host of all.

    Args:
        path: the inventory.

    Raises:
        InventoryError: it can't be read as one.
        BootstrapError: it has no hosts, or one whose key is no IPv4 address.
    """
    from pigsty import inventory  # most commands that import this module don't read one

    loaded = inventory.load(path)
    hosts = sorted((_address(path, host) for host in loaded.hosts), key=ipaddress.IPv4Address)
    if not hosts:
        raise BootstrapError(f"{path}: there is no host in it")
    group = loaded.groups.get("infra")
    values = {name: entry.value for name, entry in loaded.groups["all"].variables.items()}
    candidates = [values.get("admin_ip"), *(group.hosts if group else ()), *hosts]
    return Settings(
        admin=next(str(host) for host in candidates if host in hosts),
        hosts=tuple(hosts),
        ca_create=bool(values.get("ca_create", True)),
        ca_cn=str(values.get("ca_cn", Settings.ca_cn)),
    )


def _address(path: Path, host: str) -> str:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError as error:
        raise BootstrapError(f"{path}: host {host!r} is no IPv4 address") from error
