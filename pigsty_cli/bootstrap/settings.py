"""What the bootstrap must know of an inventory, before catalogue and topology are at hand."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    Args:
        path: the inventory.

    Raises:
        BootstrapError: it can't be read, or has no hosts, or a host that is no IPv4 address.
    """
    everything = _document(path)
    groups = list(_groups("all", everything))
    hosts = sorted(
        {_address(path, host) for _, group in groups for host in group.get("hosts") or {}},
        key=ipaddress.IPv4Address,
    )
    if not hosts:
        raise BootstrapError(f"{path}: there is no host in it")
    variables = everything.get("vars") or {}
    return Settings(
        admin=_admin(variables, groups, hosts),
        hosts=tuple(hosts),
        ca_create=bool(variables.get("ca_create", True)),
        ca_cn=str(variables.get("ca_cn", "pigsty-ca")),
    )


def _document(path: Path) -> dict[str, Any]:
    import yaml  # not needed by most commands that import this package

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BootstrapError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BootstrapError(f"{path}: not YAML; `pigsty validate` says where") from error
    if not isinstance(document, dict) or not isinstance(document.get("all"), dict):
        raise BootstrapError(f"{path}: no inventory; its one top key must be `all`")
    everything: dict[str, Any] = document["all"]
    return everything


def _groups(name: str, group: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield name, group
    for child, content in (group.get("children") or {}).items():
        if isinstance(content, dict):
            yield from _groups(child, content)


def _address(path: Path, host: object) -> str:
    try:
        return str(ipaddress.IPv4Address(str(host)))
    except ValueError as error:
        raise BootstrapError(f"{path}: host {host!r} is no IPv4 address") from error


def _admin(
    variables: dict[str, Any], groups: list[tuple[str, dict[str, Any]]], hosts: list[str]
) -> str:
    """The address in `admin_ip`, else the first host of the group `infra`, else the first host."""
    if variables.get("admin_ip") in hosts:
        return str(variables["admin_ip"])
    for name, group in groups:
        if name == "infra" and group.get("hosts"):
            return str(next(iter(group["hosts"])))
    return hosts[0]
