"""Chrony's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pigsty.render.files import text

#: Distance to a true clock that the admin node claims when it serves others: far, so that a real
#: source wins.
_LOCAL_STRATUM = 10


def sources(servers: Iterable[str], ip: str) -> list[str]:
    """Return the ``server`` and ``pool`` lines for a node; a node is no source of its own.

    Args:
        servers: lines of ``node_ntp_servers``; a bare address or name counts as a server.
        ip: the node's address.
    """
    found: dict[str, None] = {}
    for line in servers:
        words = line.split()
        if words and words[0] not in ("server", "pool", "peer", "refclock"):
            words = ["server", *words, "iburst"]
        if words and ip not in words[1:2]:
            found[" ".join(words)] = None
    return list(found)


def conf(
    servers: Sequence[str], *, serve: Sequence[str], driftfile: str = "/var/lib/chrony/chrony.drift"
) -> str:
    """Return chrony.conf.

    Args:
        servers: lines of :func:`sources`.
        serve: networks that may ask this node for the time; empty when it serves nobody.
        driftfile: where the clock's drift is kept.
    """
    serving = [*(f"allow {network}" for network in serve)]
    if serving:
        serving.append(f"local stratum {_LOCAL_STRATUM} orphan")
    return text(
        *servers,
        *serving,
        f"driftfile {driftfile}",
        "logdir /var/log/chrony",
        "# A wrong clock is corrected at once after the start only; later it is slewed, never set.",
        "makestep 1.0 3",
        "maxupdateskew 100.0",
        "rtcsync",
    )
