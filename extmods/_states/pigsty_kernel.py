"""The state of the kernel: settings, modules, huge pages, limits, swap."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.convergence import converge
from pigsty.render import sysctl
from pigsty.render.files import File

__virtualname__ = "pigsty_kernel"

MODULES = "/etc/modules-load.d/pigsty.conf"
LIMITS = "/etc/security/limits.d/pigsty.conf"
HUGE_PAGES = "/etc/tmpfiles.d/pigsty-hugepages.conf"
READ_AHEAD = "/etc/udev/rules.d/60-pigsty-readahead.rules"
BOOT = "/etc/default/grub.d/pigsty.cfg"
_POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def tuned(name: str) -> dict[str, Any]:
    """Keep the kernel as the node's parameters say, now and after a boot.

    What this machine does not allow is left out and noted (see ``pigsty_node.left_out``); the
    files for the next boot are written all the same.

    Args:
        name: the state's name.
    """
    node = __pillar__["pigsty"]["node"]
    profile = node["node_tune"]
    memory = int(__grains__["mem_total"]) * 1024 * 1024
    settings = sysctl.settings(
        profile,
        memory=memory,
        hugepage_count=node["node_hugepage_count"] or 0,
        hugepage_ratio=node["node_hugepage_ratio"] or 0,
        overcommit_ratio=node["node_overcommit_ratio"] or 0,
        extra=node["node_sysctl_params"],
    )
    modules = list(node["node_kernel_modules"] or ())

    def plan() -> dict[str, Any]:
        changes = __salt__["pigsty_file.changes"](_files(node, settings, modules))
        found = {
            "settings": __salt__["pigsty_kernel.due"](settings),
            "modules": __salt__["pigsty_kernel.missing"](modules),
            "transparent huge pages": _huge_page_policy(profile),
            "swap": _swap() if node["node_disable_swap"] else {},
        }
        return {**changes, **{what: change for what, change in found.items() if change}}

    def act(changes: dict[str, Any]) -> None:
        __salt__["pigsty_file.converge"](_files(node, settings, modules))
        __salt__["pigsty_kernel.load"](changes.get("modules", ()))
        due = changes.get("settings", {})
        __salt__["pigsty_kernel.set_all"]({name: due[name]["new"] for name in due})
        if "transparent huge pages" in changes:
            _POLICY.write_text("never")
        if "swap" in changes:
            __salt__["pigsty_command.run"](["/usr/sbin/swapoff", "--all"])
        if BOOT in changes:
            __salt__["pigsty_command.run"](["/usr/sbin/update-grub"], "node.systemctl")

    errors = (CommandExecutionError, OSError)
    return converge(name, "the kernel", plan, act, test=__opts__["test"], errors=errors)


def _files(node: dict[str, Any], settings: dict[str, str], modules: list[str]) -> list[File]:
    """Return the files that carry the settings over a boot."""
    tune = node["node_tune"] != "none"
    ceilings = __salt__["pigsty_kernel.ceilings"]()
    prefetch = 'ACTION=="add|change", SUBSYSTEM=="block", ENV{DEVTYPE}=="disk"'
    prefetch += ', ATTR{bdi/read_ahead_kb}="4096"\n'
    found = [
        File(sysctl.CONF, sysctl.conf(settings)),
        File(MODULES, sysctl.modules_conf(modules)),
        File(LIMITS, sysctl.limits(ceilings) if tune else None),
        File(HUGE_PAGES, sysctl.huge_page_policy(node["node_tune"])),
        File(READ_AHEAD, prefetch if node["node_disk_prefetch"] else None),
    ]
    if Path("/etc/default/grub").exists():
        numa = 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX numa=off"\n'
        found.append(File(BOOT, numa if node["node_disable_numa"] else None))
    elif node["node_disable_numa"]:
        __salt__["pigsty_note.add"]("boot parameters", "numa=off (this machine has no boot loader)")
    if node["node_disable_swap"]:
        table = __salt__["pigsty_file.read"]("/etc/fstab")
        if table is not None:
            swap = re.compile(r"^(?!#)(\S+\s+\S+\s+swap\s)", re.MULTILINE)
            found.append(File("/etc/fstab", swap.sub(r"# \1", table)))
    return found


def _huge_page_policy(profile: str) -> dict[str, str]:
    """Return the change of the policy for transparent huge pages, empty when it is right."""
    if profile == "none":
        return {}
    try:
        chosen = re.search(r"\[(\w+)\]", _POLICY.read_text())
    except OSError:
        return {}
    if chosen is None or chosen[1] == "never":
        return {}
    if not os.access(_POLICY, os.W_OK):
        __salt__["pigsty_note.add"]("kernel settings", "transparent huge pages")
        return {}
    return {"old": chosen[1], "new": "never"}


def _swap() -> dict[str, str]:
    """Return the change that turns swap off, empty when it is off."""
    devices = [row.split()[0] for row in Path("/proc/swaps").read_text().splitlines()[1:]]
    if devices and __salt__["pigsty_kernel.container"]():
        __salt__["pigsty_note.add"]("swap", "it belongs to the host of this container")
        return {}
    return {"old": ", ".join(devices), "new": "off"} if devices else {}
