"""Who follows whom: standby clusters, cascades, and members that stand aside."""

from __future__ import annotations

import re
from typing import Any

from pigsty.topology import PgCluster, PgInstance, Topology

#: Roles of members that may neither be elected nor be the copy that a commit waits for: an offline
#: member serves long queries, a delayed one shows the past.
ASIDE = frozenset({"offline", "delayed"})

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)
#: Units that people write and PostgreSQL doesn't know.
_UNITS = {
    "sec": (1, "s"),
    "m": (1, "min"),
    "hour": (1, "h"),
    "hours": (1, "h"),
    "day": (1, "d"),
    "days": (1, "d"),
    "w": (7, "d"),
    "mon": (30, "d"),
    "y": (365, "d"),
    "year": (365, "d"),
    "years": (365, "d"),
}


def aside(member: PgInstance) -> bool:
    """Return whether a member is never to lead."""
    return member.role in ASIDE


def standby_of(topology: Topology, cluster: PgCluster) -> dict[str, Any] | None:
    """Return what a standby cluster follows, as Patroni's ``standby_cluster``; None if nothing.

    It follows the address that its declared primary names in ``pg_upstream``, and should that one
    not answer, the other members of the same cluster: libpq takes the first of a list of hosts, so
    neither a failover there nor a lost machine needs anything here.
    """
    primary = cluster.primary
    address = str(primary.vars["pg_upstream"] or "") if primary else ""
    if primary is None or not address:
        return None
    hosts, port = [address], primary.vars["pg_port"]
    upstream = topology.pg_instances.get(address)
    if upstream is not None:
        port = upstream.vars["pg_port"]
        peers = topology.pg_clusters[upstream.cluster].members
        hosts += [peer.ip for peer in peers if peer.ip != address and not aside(peer)]
    found: dict[str, Any] = {
        "host": ",".join(hosts),
        "port": int(port),
        "create_replica_methods": ["basebackup"],
    }
    if lag := span(primary.vars["pg_delay"]):
        found["recovery_min_apply_delay"] = lag
    return found


def delay(member: PgInstance) -> str:
    """Return how far a delayed member stays behind its cluster; "" for every other one."""
    return span(member.vars["pg_delay"]) if member.role == "delayed" else ""


def tags(topology: Topology, member: PgInstance) -> dict[str, Any]:
    """Return Patroni's tags of a member."""
    found: dict[str, Any] = {
        "nofailover": aside(member),
        "nosync": aside(member),
        "clonefrom": not aside(member),
        # A reader who asks for a replica wants the present; an offline member shows it.
        "noloadbalance": member.role == "delayed",
    }
    upstream = topology.pg_instances.get(str(member.vars["pg_upstream"] or ""))
    if member.role != "primary" and upstream is not None and upstream.cluster == member.cluster:
        found["replicatefrom"] = upstream.name
    return found


def span(value: object) -> str:
    """Return a time span in units that PostgreSQL knows; "" for none, and for what is no span."""
    found = _SPAN.fullmatch(str(value or "").strip())
    if found is None or float(found[1]) == 0:
        return ""
    factor, known = _UNITS.get(found[2], (1, found[2]))
    return f"{float(found[1]) * factor:g}{known}"
