"""The packet filter of a node in the mode ``zone``: a table of its own in nftables."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from pigsty.render.files import BANNER, text

RULES = "/etc/nftables.d/pigsty.nft"
UNIT = "pigsty-firewall.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
TABLE = "pigsty"
#: Salt's master. Minions authenticate with keys, and a new node may come from anywhere.
SALT_PORTS = (4505, 4506)


def outside(addresses: Iterable[str], networks: Iterable[str]) -> list[str]:
    """Return the addresses that no network covers, sorted."""
    known = [ipaddress.ip_network(network, strict=False) for network in networks]
    return sorted(
        {a for a in addresses if not any(ipaddress.ip_address(a) in network for network in known)}
    )


def rules(intranet: Iterable[str], peers: Iterable[str], ports: Iterable[int]) -> str:
    """Return the rules: everything from the intranet, some ports from everywhere, nothing else.

    The first lines make loading the file replace the table in one transaction.

    Args:
        intranet: networks that are trusted.
        peers: further addresses that are trusted.
        ports: TCP ports that are open to everyone.
    """
    trusted = {4: [], 6: []}  # type: dict[int, list[str]]
    for entry in (*intranet, *peers):
        network = ipaddress.ip_network(entry, strict=False)
        trusted[network.version].append(str(network))
    accept = [
        f"        {family} saddr {{ {', '.join(sorted(set(trusted[version])))} }} accept"
        for version, family in ((4, "ip"), (6, "ip6"))
        if trusted[version]
    ]
    opened = sorted(set(ports))
    if opened:
        accept.append(f"        tcp dport {{ {', '.join(str(port) for port in opened)} }} accept")
    return text(
        f"table inet {TABLE}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        "    chain input {",
        "        type filter hook input priority filter; policy drop;",
        "        ct state established,related accept",
        "        ct state invalid drop",
        '        iifname "lo" accept',
        # By number: a small machine may have no /etc/protocols.
        "        # ICMP, ICMPv6, and VRRP of keepalived.",
        "        meta l4proto { 1, 58, 112 } accept",
        *accept,
        "    }",
        "}",
    )


def unit() -> str:
    """Return the unit that loads the rules at boot, before the network is up."""
    return "\n".join(
        (
            BANNER,
            "[Unit]",
            "Description=Packet filter of Pigsty",
            "DefaultDependencies=no",
            "Wants=network-pre.target",
            "Before=network-pre.target shutdown.target",
            "After=local-fs.target nftables.service",
            "Conflicts=shutdown.target",
            "",
            "[Service]",
            "Type=oneshot",
            "RemainAfterExit=yes",
            f"ExecStart=/usr/sbin/nft -f {RULES}",
            f"ExecReload=/usr/sbin/nft -f {RULES}",
            f"ExecStop=-/usr/sbin/nft delete table inet {TABLE}",
            "",
            "[Install]",
            "WantedBy=sysinit.target",
            "",
        )
    )
