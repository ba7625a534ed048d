"""Who leads the clusters of a deployment, as their members say: for the names of the clusters."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pigsty.clients.patroni import CA, Patroni
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError
from pigsty.render import dns

__virtualname__ = "pigsty_dns"

#: How many members are asked at a time.
_THREADS = 32


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def leaders(clusters: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return who leads each cluster now, "" where nobody is known to.

    All members are asked at once: one that is dead or cut off must not speak for its cluster.

    Args:
        clusters: ``members``, ``port`` and ``tls`` by cluster, as in ``pigsty:infra:dns``.

    CLI Example: called by the state ``pigsty_dns.served``.
    """
    asked = [
        (name, member, Patroni(address, cluster["port"], ca=CA if cluster["tls"] else None,
                               timeout=DEADLINES["status.request"]))
        for name, cluster in clusters.items()
        for member, address in cluster["members"].items()
    ]  # fmt: skip
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(_leader, (patroni for _, _, patroni in asked)))
    claims: dict[str, list[tuple[str, str]]] = {name: [] for name in clusters}
    for (name, member, _), leader in zip(asked, answers, strict=True):
        if leader is not None:
            claims[name].append((member, leader))
    return {name: dns.elected(said) for name, said in claims.items()}


def _leader(patroni: Patroni) -> str | None:
    """Return whom a member takes for the leader, "" for nobody; None when it doesn't answer."""
    try:
        leader = patroni.cluster().leader
    except ClientError:
        return None
    return leader.name if leader else ""
