"""Which minions are connected to the Salt master of this machine, by the kernel's word.

Asking them by a job takes a time-out for each that is gone; the kernel answers at once.
"""

from __future__ import annotations

from pathlib import Path

_TCP = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"


def connected(port: int) -> frozenset[str]:
    """Return the addresses that have a connection to the master's publisher.

    Args:
        port: the publisher's.
    """
    tables = [table.read_text("ascii") for table in _TCP if table.exists()]
    return frozenset().union(*(peers(table, port) for table in tables))


def peers(table: str, port: int) -> frozenset[str]:
    """Return the IPv4 peers of established connections to a local port.

    Args:
        table: text of ``/proc/net/tcp`` or ``tcp6``: addresses in hexadecimal, each 32-bit word in
            the byte order of the machine (little-endian wherever this runs).
        port: local port.

    Returns:
        Dotted addresses. A peer on this machine appears under the address that it came from.
    """
    found = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        local, remote, state = fields[1], fields[2], fields[3]
        if state == _ESTABLISHED and int(local.rsplit(":", 1)[1], 16) == port:
            # An IPv4 peer on an IPv6 socket is mapped: its address is the last word.
            word = bytes.fromhex(remote.split(":")[0][-8:])
            found.add(".".join(str(byte) for byte in reversed(word)))
    return frozenset(found)
