"""Inventory to Topology: nodes, clusters and instances; identity is derived here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pigsty.inventory import Inventory


@dataclass(frozen=True, slots=True)
class Node:
    """A machine.

    Attributes:
        ip: address, host key and minion id.
        name: node name: ``<pg_cluster>-<pg_seq>`` if ``node_id_from_pg``, else ``nodename``, else "".
        cluster: node cluster (``pg_cluster`` or ``node_cluster``, default ``nodes``).
        vars: every parameter of the host by its current name: catalogue default < all < group < host;
            values are rendered (``${…}``, ``{{ … }}``) and coerced on first access, then kept.
        declared: names that the inventory sets for this host (the rest are defaults).
        modules: lower-case names of the modules this node has, for example ``("node", "etcd", "pgsql")``.
    """

    ip: str
    name: str
    cluster: str
    vars: Mapping[str, Any]
    declared: frozenset[str]
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PgInstance:
    """A member of a PostgreSQL cluster as declared (``role`` is the written role, not the live one)."""

    cluster: str
    seq: int
    role: str
    node: Node

    @property
    def ip(self) -> str:
        """Address of the member."""
        return self.node.ip

    @property
    def name(self) -> str:
        """Instance name, ``<pg_cluster>-<pg_seq>``."""
        return f"{self.cluster}-{self.seq}"

    @property
    def vars(self) -> Mapping[str, Any]:
        """Parameters of the member's host."""
        return self.node.vars

    @property
    def offline(self) -> bool:
        """Whether the member serves offline queries (role offline, or ``pg_offline_query``)."""
        return self.role == "offline" or bool(self.vars.get("pg_offline_query"))


@dataclass(frozen=True, slots=True)
class PgCluster:
    """A PostgreSQL cluster: its members in order of ``seq``."""

    name: str
    members: tuple[PgInstance, ...]

    @property
    def primary(self) -> PgInstance | None:
        """The declared primary (who bootstraps), or None when the inventory names none or several."""
        found = [member for member in self.members if member.role == "primary"]
        return found[0] if len(found) == 1 else None

    @property
    def vars(self) -> Mapping[str, Any]:
        """Parameters of the cluster as its first member sees them (the declared primary if any)."""
        return (self.primary or self.members[0]).vars


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """A member of the etcd cluster; ``name`` is ``<etcd_cluster>-<etcd_seq>``."""

    cluster: str
    seq: int
    node: Node

    @property
    def ip(self) -> str:
        """Address of the member."""
        return self.node.ip

    @property
    def name(self) -> str:
        """Member name."""
        return f"{self.cluster}-{self.seq}"


@dataclass(frozen=True, slots=True)
class InfraNode:
    """An infra node; ``name`` is ``infra-<infra_seq>``."""

    seq: int
    node: Node

    @property
    def ip(self) -> str:
        """Address of the infra node."""
        return self.node.ip

    @property
    def name(self) -> str:
        """Infra name."""
        return f"infra-{self.seq}"


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that the inventory declares, with identity resolved.

    Attributes:
        inventory: where it came from.
        nodes: by address, in the order of the inventory.
        pg_clusters: by name.
        pg_instances: by address.
        etcd: members in order of ``seq``.
        infra: infra nodes in order of ``seq``.
        admin_ip: address of the admin node.
        groups: the hosts of each group, children included, by group name.
    """

    inventory: Inventory
    nodes: Mapping[str, Node]
    pg_clusters: Mapping[str, PgCluster]
    pg_instances: Mapping[str, PgInstance]
    etcd: tuple[EtcdMember, ...]
    infra: tuple[InfraNode, ...]
    admin_ip: str
    groups: Mapping[str, tuple[str, ...]]


def build(inventory: Inventory) -> Topology:
    """Derive the topology of an inventory; lazy per host, so 10,000 hosts cost little.

    It doesn't raise for what validation reports (a duplicate ``pg_seq``, two primaries): the rules look at the topology.
    """
    raise NotImplementedError
