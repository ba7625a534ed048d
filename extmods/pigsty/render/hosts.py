"""Names of machines: the lines of /etc/hosts, and the resolver's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pigsty.render.files import with_block

#: The C library reads no more name servers than these.
MAX_SERVERS = 3
BLOCK = "dns"


def lines(declared: Iterable[str], members: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the lines of our block in /etc/hosts.

    Args:
        declared: lines of the inventory, ``<address> <name> …``; they come first, as they are.
        members: names of machines by address.

    Returns:
        The lines, each once; a name that a declared line gives to the same address is not repeated.
    """
    found: dict[str, None] = {}
    known: set[tuple[str, str]] = set()
    for line in declared:
        words = line.split("#")[0].split()
        if len(words) < 2:
            continue
        found[" ".join(words)] = None
        known.update((words[0], name) for name in words[1:])
    for address, names in members.items():
        new = [name for name in dict.fromkeys(names) if name and (address, name) not in known]
        if new:
            found[" ".join((address, *new))] = None
    return list(found)


def hosts(old: str, block: Sequence[str]) -> str:
    """Return /etc/hosts with our block; what else stands there is kept."""
    return with_block(old, "hosts", block)


def resolv_conf(old: str, method: str, servers: Sequence[str], options: Sequence[str]) -> str:
    """Return /etc/resolv.conf.

    Args:
        old: its text now.
        method: ``add`` puts our servers before those that are there, of which as many stay as the
            C library reads; ``overwrite`` leaves only ours; ``none`` takes our lines out again.
        servers: addresses of our name servers.
        options: whole lines, for example ``options timeout:1``.
    """
    rest = with_block(old, BLOCK, ()).splitlines()
    if method == "none":
        return with_block(old, BLOCK, ())
    ours = [*options, *(f"nameserver {server}" for server in servers)]
    if method == "overwrite":
        # Search domains of the network stay: they are no servers.
        rest = [row for row in rest if row.split()[:1] in (["search"], ["domain"])]
        return with_block("".join(f"{row}\n" for row in rest), BLOCK, ours, top=True)
    kept, count = [], len(servers)
    for row in rest:
        words = row.split()
        if words[:1] == ["nameserver"]:
            if words[1:] and words[1] in servers:
                continue
            count += 1
            if count > MAX_SERVERS:
                continue
        kept.append(row)
    return with_block("".join(f"{row}\n" for row in kept), BLOCK, ours, top=True)
