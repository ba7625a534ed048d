"""Kernel settings: the four profiles, huge pages, and the files that carry them over a reboot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from pigsty.render.files import text

CONF = "/etc/sysctl.d/60-pigsty.conf"
HUGE_PAGE_BYTES = 2 * 1024 * 1024
#: Never more of the memory than this share: the kernel and the processes need the rest.
HUGE_PAGE_LIMIT = 0.90
PROFILES = ("oltp", "olap", "crit", "tiny")

#: Limits of a session; open files stay far under the kernel's ``fs.nr_open``.
_LIMITS: Mapping[str, str] = {
    "nofile": "655360",
    "nproc": "655360",
    "core": "unlimited",
    "memlock": "unlimited",
}

#: What every database server wants, whatever its load.
_COMMON: Mapping[str, str] = {
    # PostgreSQL's shared memory is touched from all cores: balancing and reclaiming by zone only
    # moves it.
    "kernel.numa_balancing": "0",
    "kernel.sched_autogroup_enabled": "0",
    "vm.zone_reclaim_mode": "0",
    # Many asynchronous requests of many processes, and many open files.
    "fs.aio-max-nr": "1048576",
    "fs.file-max": "2097152",
    # Bursts of connections through HAProxy and PgBouncer.
    "net.core.somaxconn": "65535",
    "net.core.netdev_max_backlog": "10240",
    "net.ipv4.tcp_max_syn_backlog": "10240",
    "net.ipv4.ip_local_port_range": "20480 65535",
    "net.ipv4.tcp_tw_reuse": "1",
    "net.ipv4.tcp_fin_timeout": "15",
    # A peer that vanished (a power cut) is noticed within 60 + 5 * 10 s, not after two hours.
    "net.ipv4.tcp_keepalive_time": "60",
    "net.ipv4.tcp_keepalive_intvl": "10",
    "net.ipv4.tcp_keepalive_probes": "5",
    # HAProxy binds a floating address that another node holds at the moment.
    "net.ipv4.ip_nonlocal_bind": "1",
}

#: How early dirty pages are written, and how eagerly memory is swapped: small steps keep latency
#: even, large ones give throughput; the critical profile keeps little unwritten.
_PROFILE: Mapping[str, Mapping[str, str]] = {
    "oltp": {
        "vm.swappiness": "1",
        "vm.dirty_background_ratio": "5",
        "vm.dirty_ratio": "20",
        "vm.dirty_writeback_centisecs": "300",
        "vm.dirty_expire_centisecs": "1000",
    },
    "olap": {
        "vm.swappiness": "1",
        "vm.dirty_background_ratio": "10",
        "vm.dirty_ratio": "40",
        "vm.dirty_writeback_centisecs": "500",
        "vm.dirty_expire_centisecs": "3000",
    },
    "crit": {
        "vm.swappiness": "0",
        "vm.dirty_background_ratio": "3",
        "vm.dirty_ratio": "10",
        "vm.dirty_writeback_centisecs": "100",
        "vm.dirty_expire_centisecs": "500",
    },
    "tiny": {
        "vm.swappiness": "10",
        "vm.dirty_background_ratio": "5",
        "vm.dirty_ratio": "20",
        "vm.dirty_writeback_centisecs": "500",
        "vm.dirty_expire_centisecs": "3000",
    },
}


def huge_pages(memory: int, count: int = 0, ratio: float = 0.0) -> int:
    """Return how many huge pages of 2 MiB to reserve.

    Args:
        memory: the machine's memory in bytes.
        count: a fixed number; it wins over the share, and is cut to nine tenths of the memory.
        ratio: share of the memory; outside of (0, 0.90) it counts as none.
    """
    total = memory / HUGE_PAGE_BYTES
    if count > 0:
        return min(count, math.ceil(total * HUGE_PAGE_LIMIT))
    return math.ceil(total * ratio) if 0 < ratio < HUGE_PAGE_LIMIT else 0


def settings(
    profile: str,
    *,
    memory: int,
    hugepage_count: int = 0,
    hugepage_ratio: float = 0.0,
    overcommit_ratio: int = 0,
    extra: Mapping[str, object] | None = None,
) -> dict[str, str]:
    """Return the kernel settings of a node, sorted by name.

    Args:
        profile: one of :data:`PROFILES`, or ``none`` for the extra settings alone.
        memory: the machine's memory in bytes.
        hugepage_count: see :func:`huge_pages`.
        hugepage_ratio: see :func:`huge_pages`.
        overcommit_ratio: percentage for strict accounting of memory; 0 leaves the kernel's
            heuristic.
            The critical profile never changes it.
        extra: settings of the inventory; they win.
    """
    found: dict[str, str] = {}
    if profile in _PROFILE:
        found.update(_COMMON)
        found.update(_PROFILE[profile])
        found["vm.nr_hugepages"] = str(huge_pages(memory, hugepage_count, hugepage_ratio))
        strict = overcommit_ratio > 0 and profile != "crit"
        found["vm.overcommit_memory"] = "2" if strict else "0"
        if strict:
            found["vm.overcommit_ratio"] = str(overcommit_ratio)
    for name, value in (extra or {}).items():
        found[name] = " ".join(str(value).split())
    return dict(sorted(found.items()))


def conf(wanted: Mapping[str, str]) -> str | None:
    """Return the file for /etc/sysctl.d, or None when there is nothing to set."""
    return text(*(f"{name} = {value}" for name, value in wanted.items())) if wanted else None


def path(name: str) -> str:
    """Return the file under /proc/sys that holds a setting.

    A name may have slashes for parts that hold dots themselves, as sysctl(8) allows.
    """
    return "/proc/sys/" + (name if "/" in name else name.replace(".", "/"))


def modules_conf(modules: Iterable[str]) -> str | None:
    """Return the file for /etc/modules-load.d, or None when no module is asked for."""
    names = list(dict.fromkeys(modules))
    return text(*names) if names else None


def limits(ceilings: Mapping[str, str]) -> str:
    """Return the file for /etc/security/limits.d: what a login session of a service may use.

    A limit that a machine doesn't allow keeps every session from being opened, sudo's too.

    Args:
        ceilings: what this machine allows at most, by item; an item without one is unlimited.
    """
    rows = []
    for item, wanted in _LIMITS.items():
        top = ceilings.get(item, "unlimited")
        values = [int(value) for value in (wanted, top) if value != "unlimited"]
        rows.append(f"*    -    {item:<8} {min(values) if values else 'unlimited'}")
    return text(*rows)


def huge_page_policy(profile: str) -> str | None:
    """Return the tmpfiles.d file for transparent huge pages, or None for the profile ``none``.

    PostgreSQL suffers from transparent huge pages (stalls while the kernel compacts memory); it
    uses those that are reserved.
    """
    if profile not in PROFILES:
        return None
    folder = "/sys/kernel/mm/transparent_hugepage"
    return text(f"w {folder}/enabled - - - - never", f"w {folder}/defrag - - - - never")
