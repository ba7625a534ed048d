"""Inventory to Topology: nodes, clusters, instances; identity is derived here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pigsty import inventory as inventory_module
from pigsty.shape import Inventory
from pigsty.variables import Deployment, HostVars


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A machine.

    Attributes:
        ip: address, host key and minion id.
        name: node name: ``<pg_cluster>-<pg_seq>`` if ``node_id_from_pg``, else ``nodename``, else
            "".
        cluster: node cluster (``pg_cluster`` or ``node_cluster``, default ``nodes``).
        vars: every parameter of the host by its current name: catalogue default < all < group <
            host; values are rendered (``${…}``, ``{{ … }}``) and coerced on first access, then
            kept.
        modules: lower-case names of the modules this node has, for example ``("node", "etcd",
            "pgsql")``.
    """

    ip: str
    name: str
    cluster: str
    vars: HostVars
    modules: tuple[str, ...]

    @property
    def declared(self) -> frozenset[str]:
        """Names that the inventory sets for this host (the rest are defaults)."""
        return self.vars.declared


@dataclass(frozen=True, slots=True)
class PgInstance:
    """A member of a PostgreSQL cluster as declared (``role`` is the written role, not the live)."""

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
        """The declared primary, who bootstraps; None when the inventory names none or several."""
        found = [member for member in self.members if member.role == "primary"]
        return found[0] if len(found) == 1 else None

    @property
    def vars(self) -> Mapping[str, Any]:
        """Parameters of the cluster as its first member sees them (the declared primary if any)."""
        return (self.primary or self.members[0]).vars


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
class Member:
    """A member of an etcd, MinIO or Redis cluster; ``name`` is ``<cluster>-<seq>``."""

    cluster: str
    seq: int
    node: Node

    @property
    def ip(self) -> str:
        """Address of the member."""
        return self.node.ip

    @property
    def name(self) -> str:
        """Member name; of a Redis node without the port that its instances add."""
        return f"{self.cluster}-{self.seq}"


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
        minio: MinIO clusters by name, members in order of ``seq``.
        redis: Redis clusters by name, nodes in order of ``redis_node``.
        admin_ip: address of the admin node.
        groups: the hosts of each group, children included, by group name.
    """

    inventory: Inventory
    nodes: Mapping[str, Node]
    pg_clusters: Mapping[str, PgCluster]
    pg_instances: Mapping[str, PgInstance]
    etcd: tuple[Member, ...]
    infra: tuple[InfraNode, ...]
    minio: Mapping[str, tuple[Member, ...]]
    redis: Mapping[str, tuple[Member, ...]]
    admin_ip: str
    groups: Mapping[str, tuple[str, ...]]


def build(inventory: Inventory) -> Topology:
    """Derive the topology of an inventory; lazy per host, so 10,000 hosts cost little.

    It doesn't raise for what validation reports (a duplicate ``pg_seq``, two primaries): the rules
    look at the topology. A member whose number is no number is in no cluster.
    """
    deployment = Deployment(inventory)
    nodes: dict[str, Node] = {}
    pg: dict[str, list[PgInstance]] = {}
    etcd: list[Member] = []
    infra: list[InfraNode] = []
    minio: dict[str, list[Member]] = {}
    redis: dict[str, list[Member]] = {}
    for ip in inventory.hosts:
        found = deployment.identity(ip)
        node = _node(ip, found, deployment)
        nodes[ip] = node
        if "infra" in node.modules:
            infra.append(InfraNode(found["infra_seq"], node))
        if "etcd" in node.modules:
            etcd.append(Member(str(found["etcd_cluster"]), found["etcd_seq"], node))
        if "minio" in node.modules:
            cluster = str(found["minio_cluster"])
            minio.setdefault(cluster, []).append(Member(cluster, found["minio_seq"], node))
        if "redis" in node.modules:
            cluster = str(found["redis_cluster"])
            redis.setdefault(cluster, []).append(Member(cluster, found["redis_node"], node))
        if "pgsql" in node.modules:
            cluster = str(found["pg_cluster"])
            role = str(found["pg_role"] or "")
            pg.setdefault(cluster, []).append(PgInstance(cluster, found["pg_seq"], role, node))
    clusters = {
        name: PgCluster(name, tuple(sorted(members, key=lambda member: member.seq)))
        for name, members in pg.items()
    }
    return Topology(
        inventory=inventory,
        nodes=nodes,
        pg_clusters=clusters,
        pg_instances={m.ip: m for cluster in clusters.values() for m in cluster.members},
        etcd=tuple(sorted(etcd, key=lambda member: member.seq)),
        infra=tuple(sorted(infra, key=lambda member: member.seq)),
        minio=_in_order(minio),
        redis=_in_order(redis),
        admin_ip=deployment.admin_ip,
        groups=deployment.groups,
    )


_CACHE: dict[str, Topology] = {}


def load(file: str | Path) -> Topology:
    """Return the topology of an inventory file; the same object as long as the file stays the same.

    Raises:
        InventoryError: the file can't be read as an inventory at all.
    """
    inventory = inventory_module.load(file)
    known = _CACHE.get(str(file))
    if known is None or known.inventory is not inventory:
        known = _CACHE[str(file)] = build(inventory)
    return known


def _in_order(clusters: Mapping[str, list[Member]]) -> dict[str, tuple[Member, ...]]:
    """Return clusters with their members in order of number."""
    return {
        name: tuple(sorted(members, key=lambda member: member.seq))
        for name, members in clusters.items()
    }


def _node(ip: str, found: Mapping[str, Any], deployment: Deployment) -> Node:
    """Return the node of a host by its identity parameters.

    The name is ``<pg_cluster>-<pg_seq>`` where ``node_id_from_pg`` and both are set, else
    ``nodename``. The cluster is ``pg_cluster`` where ``node_id_from_pg`` and ``node_cluster`` is
    unset or ``nodes``.
    """
    borrow = found["node_id_from_pg"] is not False
    cluster = str(found["node_cluster"] or "nodes")
    name = str(found["nodename"] or "")
    if borrow and found["pg_cluster"]:
        if _is_number(found["pg_seq"]):
            name = f"{found['pg_cluster']}-{found['pg_seq']}"
        if cluster == "nodes":
            cluster = str(found["pg_cluster"])
    modules = ["node"]
    modules += [
        module
        for module, (number, owner) in MODULES.items()
        if _is_number(found[number]) and (owner is None or found[owner])
    ]
    return Node(ip, name, cluster, deployment.vars(ip), tuple(modules))


#: What gives a host a module: its number, and the name of its cluster where there may be several.
MODULES: Mapping[str, tuple[str, str | None]] = {
    "infra": ("infra_seq", None),
    "etcd": ("etcd_seq", None),
    "minio": ("minio_seq", "minio_cluster"),
    "redis": ("redis_node", "redis_cluster"),
    "pgsql": ("pg_seq", "pg_cluster"),
}


def _is_number(value: Any) -> bool:
    """Return whether a value is an integer (a boolean is none here)."""
    return isinstance(value, int) and not isinstance(value, bool)
