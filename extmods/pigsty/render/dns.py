"""Names: what dnsmasq on infra nodes answers, and where a cluster's name leads.

Records are hosts files in one folder, one for each cluster and instance. dnsmasq sees a file that
comes, changes or goes by itself, and tells its clients to keep no answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pigsty.render.daemon import Daemon, drop_in
from pigsty.render.files import BANNER, File, text

FOLDER = "/etc/dnsmasq.d/pigsty"
CONF = "/etc/dnsmasq.d/pigsty.conf"
UNIT = "dnsmasq.service"
#: Where the servers stand that the machine itself asks; the second where systemd-resolved runs.
RESOLV, RESOLVED = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"
#: The port that resolvers ask; they can't be told of another one.
PORT = 53
#: The domain of the deployment's own services, about which nobody else is asked.
DOMAIN = "pigsty"


def conf(port: int, addresses: Iterable[str], upstream: str) -> str:
    """Return dnsmasq's configuration.

    Args:
        port: where it listens.
        addresses: on which addresses beside the loopback.
        upstream: the file that names the servers for everything else; dnsmasq leaves out those
            that it is itself.
    """
    listen = dict.fromkeys(("127.0.0.1", *addresses))
    return text(
        f"port={port}",
        # A floating address is listened on once it is here; other programs' port 53 is left alone.
        "bind-dynamic",
        *(f"listen-address={address}" for address in listen),
        f"hostsdir={FOLDER}",
        # What this machine calls itself is not what it is to others.
        "no-hosts",
        f"resolv-file={upstream}",
        "domain-needed",
        f"local=/{DOMAIN}/",
        "cache-size=1000",
    )


def daemon(spec: Mapping[str, Any], upstream: str) -> Daemon:
    """Return dnsmasq as it shall be.

    Args:
        spec: ``pigsty:infra:dns`` of the pillar: ``enabled``, ``port``, ``listen``.
        upstream: see :func:`conf`.
    """
    if not spec["enabled"]:
        return Daemon(UNIT, running=False)
    own = drop_in(UNIT, "[Service]", "Restart=on-failure")
    return Daemon(UNIT, (File(CONF, conf(spec["port"], spec["listen"], upstream)), own))


def record(address: str, names: Iterable[str]) -> str:
    """Return the text of a file that says where names lead."""
    return text(f"{address} {' '.join(dict.fromkeys(names))}")


def addresses(old: str) -> list[str]:
    """Return the addresses in a file of records."""
    rows = (line.split("#")[0].split() for line in old.splitlines())
    return [row[0] for row in rows if len(row) > 1]


def elected(claims: Sequence[tuple[str, str]]) -> str:
    """Return who leads a cluster, by what its members say; "" where that isn't clear.

    Args:
        claims: of every member that answers, its name and whom it takes for the leader. A member
            that was cut off still names the old one: the others outvote it, or, of two, the one
            that says of itself that it leads.
    """
    votes = Counter(leader for _, leader in claims if leader)
    if not votes:
        return ""
    (first, count), *others = votes.most_common()
    if others and others[0][1] == count:
        own = {name for name, leader in claims if name == leader}
        return own.pop() if len(own) == 1 else ""
    return first


def target(cluster: Mapping[str, Any], leader: str, now: str) -> str:
    """Return the address that a cluster's name shall lead to.

    Args:
        cluster: ``members`` (address by name) and ``primary`` (whom the inventory declares).
        leader: who leads now, "" where nobody is known to.
        now: the address that the name leads to; it stays while no leader is known and it is one of
            the cluster's.
    """
    members: Mapping[str, str] = cluster["members"]
    if leader in members:
        return members[leader]
    if now in members.values():
        return now
    return members.get(cluster["primary"], "")


def ours(old: str) -> bool:
    """Return whether a file in the folder of records is one of ours."""
    return old.startswith(BANNER)
