"""Topology to the pillar of one minion: a file per module, least privilege by minion id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pigsty.errors import PillarError
from pigsty.pillar.infra import sources
from pigsty.pillar.site import Site
from pigsty.platform import Platform
from pigsty.render.certificates import leaves
from pigsty.topology import Topology

#: Version of the pillar's shape; states refuse a pillar that they don't know.
SCHEMA = 1


def compile_pillar(
    topology: Topology, minion_id: str, site: Site, platform: Platform
) -> dict[str, Any]:
    """Return the whole ``pigsty`` pillar of one minion.

    Args:
        topology: the deployment.
        minion_id: the minion's id, which is its host key in the inventory.
        site: the deployment's key and CA.
        platform: the minion's operating system.

    Returns:
        ``{"meta": …, "<module>": …}`` with the modules of this minion only: plain data.

    Raises:
        PillarError: the inventory has no such host.
    """
    # Only the modules of this minion are imported: a node without PostgreSQL never pays for it.
    from importlib import import_module

    node = topology.nodes.get(minion_id)
    if node is None:
        raise PillarError(
            f"minion {minion_id!r} is not in {topology.inventory.file}: "
            "add the host there, or take it out with `pigsty node rm`"
        )
    built = [module for module in node.modules if module in BUILT]
    pillar: dict[str, Any] = {
        "meta": {
            "admin_ip": topology.admin_ip,
            "ca": site.trusted,
            "certs": {
                role: replace(leaf, since=site.rotation.since(minion_id, role)).to_dict()
                for role, leaf in leaves(topology, node).items()
            },
            "checksum": topology.inventory.checksum,
            "id": minion_id,
            "issuer": site.ca,
            "modules": built,
            "repo": sources(topology, node, platform),
            "schema": SCHEMA,
        }
    }
    for module in built:
        maker: Mapping[str, Any] = vars(import_module(f"pigsty.pillar.{module}"))
        pillar[module] = maker["pillar"](topology, node, site, platform)
    return pillar


def of_master(topology: Topology, master_id: str) -> dict[str, Any]:
    """Return the ``pigsty`` pillar of the master itself, which orchestrations are rendered with.

    The master is no machine of the inventory: it has no module, and nothing secret is in here.

    Args:
        topology: the deployment.
        master_id: the master's own id.
    """
    return {
        "meta": {
            "admin_ip": topology.admin_ip,
            "checksum": topology.inventory.checksum,
            "id": master_id,
            "modules": [],
            "schema": SCHEMA,
        }
    }


#: Modules that the states know; others are a "not yet built" warning of the validation.
BUILT = ("node", "infra", "etcd", "pgsql")
