"""The nodes' network on the host: bridge, blackhole route, the admin node's way out.

Three promises. No packet for a node ever leaves by the host's default route, bridge or no bridge.
Only the admin node reaches anything but the nodes. And what it reaches lies in no private range,
the host's name servers apart: a test that goes astray can't hit somebody's network.
"""

import ipaddress
import shutil
from collections.abc import Sequence
from pathlib import Path

from pigsty_cli.sandbox.process import run
from pigsty_cli.sandbox.spec import SandboxSpec

BRIDGE = "pigsty0"
TABLE = "pigsty_sandbox"
BLACKHOLE_METRIC = "4096"
"""Worse than the bridge's own route, which has 0, and so in use only without the bridge."""

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
PRIVATE = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
)


def resolvers() -> list[str]:
    """Return the name servers of this host that another machine can ask (IPv4, no loopback)."""
    # systemd-resolved writes its loopback stub into the first file and the real ones in the second.
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if found := nameservers(text):
            return found
    return []


def nameservers(text: str) -> list[str]:
    """Return the usable IPv4 addresses of a resolv.conf's text."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                address = ipaddress.IPv4Address(words[1])
            except ValueError:
                continue
            if not address.is_loopback:
                found.append(str(address))
    return found


def ruleset(spec: SandboxSpec, name_servers: Sequence[str]) -> str:
    """Return the packet filter's rules for the way out.

    Args:
        spec: the nodes.
        name_servers: IPv4 addresses that the admin node may ask although they are private.
    """
    asks = (
        f"    ip saddr {spec.admin} ip daddr {{ {', '.join(name_servers)} }} "
        "meta l4proto { tcp, udp } th dport 53 accept\n"
        if name_servers
        else ""
    )
    return f"""table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  chain way_out {{
    type filter hook forward priority 0; policy accept;
    oifname "{BRIDGE}" iifname != "{BRIDGE}" ct state established,related accept
    oifname "{BRIDGE}" iifname != "{BRIDGE}" drop
    iifname != "{BRIDGE}" accept
    oifname "{BRIDGE}" accept
{asks}    ip daddr {{ {", ".join(PRIVATE)} }} drop
    ip saddr {spec.admin} accept
    drop
  }}
  chain masquerading {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {spec.admin} oifname != "{BRIDGE}" masquerade
  }}
}}
"""


def _forward_rules() -> list[list[str]]:
    """What lets the nodes' packets past a firewall of the host that drops what it does not know.

    Docker and ufw set such a policy with iptables, and a verdict of our own table can't undo it.
    What may get through at all is still decided there.
    """
    return [[side, BRIDGE, "-j", "ACCEPT"] for side in ("-i", "-o")]


def _host_firewall_drops() -> bool:
    """Whether the host's iptables drop forwarded packets by default."""
    if not shutil.which("iptables"):
        return False
    rules = run(["iptables", "-S", "FORWARD"], check=False).stdout
    return rules.startswith("-P FORWARD DROP")


def up(spec: SandboxSpec, saved_forwarding: Path) -> None:
    """Make the bridge and all that belongs to it; whatever is there already stays.

    Args:
        spec: the nodes.
        saved_forwarding: file that takes the host's own setting of IP forwarding.

    Raises:
        CommandError: the kernel refused something.
    """
    network = str(spec.network)
    run(["ip", "route", "replace", "blackhole", network, "metric", BLACKHOLE_METRIC])
    if not exists():
        run(["ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"])
    run(["ip", "address", "replace", f"{spec.gateway}/24", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    run(["nft", "-f", "-"], stdin=ruleset(spec, resolvers()))
    if _host_firewall_drops():
        for rule in _forward_rules():
            if run(["iptables", "-C", "FORWARD", *rule], check=False).returncode:
                run(["iptables", "-I", "FORWARD", *rule])
    if not saved_forwarding.exists():
        saved_forwarding.write_text(FORWARDING.read_text(encoding="ascii"), encoding="ascii")
    FORWARDING.write_text("1\n", encoding="ascii")


def down(saved_forwarding: Path) -> None:
    """Remove what `up` made, but for the blackhole route, which must outlive the bridge."""
    run(["nft", "-f", "-"], stdin=f"table ip {TABLE}\ndelete table ip {TABLE}\n", check=False)
    if _host_firewall_drops():
        for rule in _forward_rules():
            run(["iptables", "-D", "FORWARD", *rule], check=False)
    if exists():
        run(["ip", "link", "delete", BRIDGE])
    if saved_forwarding.exists():
        FORWARDING.write_text(saved_forwarding.read_text(encoding="ascii"), encoding="ascii")
        saved_forwarding.unlink()


def exists() -> bool:
    """Whether the bridge is there."""
    return Path("/sys/class/net", BRIDGE).exists()


def remove_link(name: str) -> None:
    """Remove the host's end of a cable that a node which died may have left; no error without."""
    if Path("/sys/class/net", name).exists():
        # check=False: the kernel may remove it itself between the two lines
        run(["ip", "link", "delete", name], check=False)
