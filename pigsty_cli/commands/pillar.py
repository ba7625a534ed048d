"""`pigsty pillar`: what one host gets from the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pigsty_cli.errors import Refused, UsageError
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

if TYPE_CHECKING:
    from pigsty.mask import RecordingSite
    from pigsty.topology import Topology

EPILOG = """\b
Examples:
  pigsty pillar 10.10.10.11
  pigsty pillar pg-test-1 -o json
  pigsty pillar 10.10.10.11 -i pigsty.yml -o yaml --show-secrets
\b
On a machine that is no admin node (there is no deployment key), passwords that the inventory
leaves open are made from a key of zeros, and the CA certificate is left out."""

KEY = "/etc/pigsty/secret.key"
CA = "/etc/pigsty/pki/ca.crt"


@click.command(epilog=EPILOG)
@click.argument("host")
@inventory_option
@output_option
@click.option("--show-secrets", is_flag=True, help="Don't mask passwords and keys.")
def command(host: str, inventory: str | None, output: str, show_secrets: bool) -> None:
    """Show what HOST (an address or a node name) gets from the inventory; secrets are masked."""
    from pigsty import mask, validate
    from pigsty.errors import PillarError
    from pigsty.pillar import compile_pillar
    from pigsty.platform import of_grains

    path = find(inventory)
    try:
        topology = validate.usable(path)
    except PillarError as error:
        raise Refused(str(error)) from error
    site = _site()
    data: Any = {"pigsty": compile_pillar(topology, _address(topology, host), site, of_grains({}))}
    if not show_secrets:
        data = mask.mask(data, site.issued | mask.declared(topology.inventory))
    show(data, output)


def show(data: Mapping[str, Any], fmt: str) -> None:
    """Print a pillar; as a table it is one line for each value."""
    if fmt == "table":
        rows = [{"name": name, "value": value} for name, value in flat(data)]
        emit(rows, "table", columns=("name", "value"))
    else:
        emit(data, fmt)


def flat(data: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return the leaves of nested mappings with their paths, joined by colons as Salt does."""
    if isinstance(data, Mapping) and data:
        found: list[tuple[str, Any]] = []
        for key, value in data.items():
            found += flat(value, f"{prefix}:{key}" if prefix else str(key))
        return found
    return [(prefix, data)]


def _address(topology: Topology, host: str) -> str:
    """Return the address of a host given by address or node name."""
    if host in topology.nodes:
        return host
    named = [node.ip for node in topology.nodes.values() if node.name == host]
    if len(named) == 1:
        return named[0]
    from pigsty.rules.scalars import nearest

    near = nearest(host, [*topology.nodes, *(n.name for n in topology.nodes.values() if n.name)])
    hint = f"; did you mean {near}?" if near else ""
    raise UsageError(f"no host {host} in {topology.inventory.file}{hint}")


def _site() -> RecordingSite:
    """Return the deployment's key and CA, or stand-ins on a machine that has none."""
    from pathlib import Path

    from pigsty.mask import RecordingSite
    from pigsty.pillar.site import KEY_BYTES, Site

    if Path(KEY).exists():
        site = Site.read(KEY, CA)
        return RecordingSite(site.key, site.ca, rotation=site.rotation)
    message(f"no {KEY} here: undeclared passwords are stand-ins")
    return RecordingSite(bytes(KEY_BYTES), "")
