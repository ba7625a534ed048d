"""The kernel of this machine: its settings and modules, and what of it may be changed from here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from salt.exceptions import CommandExecutionError

from pigsty.render import sysctl

__virtualname__ = "pigsty_kernel"

#: Bits of the capabilities in /proc/self/status (capabilities(7)).
_CAPABILITIES = {"modules": 16, "limits": 24, "clock": 25}
#: Rows of /proc/<pid>/limits.
_LIMITS = {
    "nofile": "Max open files",
    "nproc": "Max processes",
    "core": "Max core file size",
    "memlock": "Max locked memory",
}
_HUGE_PAGES_ASKED = Path("/run/pigsty/hugepages")


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def allows(what: str) -> bool:
    """Return whether root may load kernel ``modules``, set the ``clock`` or raise ``limits`` here.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_kernel.allows clock
    """
    # The first process tells what the machine may do: a process that came in from the host of a
    # container may do more, and services of the container would fail where it succeeds.
    status = Path("/proc/1/status").read_text()
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> _CAPABILITIES[what] & 1)


def container() -> bool:
    """Return whether this machine shares its kernel with others.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_kernel.container
    """
    return Path("/run/systemd/container").exists() or Path("/.dockerenv").exists()


def ceilings() -> dict[str, str]:
    """Return the limits of a session that this machine does not let anybody raise, by item.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_kernel.ceilings
    """
    if allows("limits"):
        return {}
    table = Path("/proc/1/limits").read_text()
    found = {
        item: re.search(rf"^{row}\s+\S+\s+(\S+)", table, re.M) for item, row in _LIMITS.items()
    }
    return {item: row[1] for item, row in found.items() if row}


def due(wanted: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the settings that differ and can be changed, as ``{name: {"old": …, "new": …}}``.

    Those that differ and cannot are noted as left out of this run.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_kernel.due '{"vm.swappiness": "1"}'
    """
    found: dict[str, dict[str, str]] = {}
    for name, value in wanted.items():
        path = sysctl.path(name)
        old = _read(path)
        if old == value:
            continue
        if old is None or not os.access(path, os.W_OK):
            __salt__["pigsty_note.add"]("kernel settings", name)
        elif not (name == "vm.nr_hugepages" and _asked() == value):
            found[name] = {"old": old, "new": value}
    return found


def set_all(settings: Mapping[str, str]) -> None:
    """Set kernel settings now.

    The kernel reserves fewer huge pages than asked for when memory is in pieces: that is asked once
    per boot, because asking again would not help before the next one.

    Raises:
        CommandExecutionError: the kernel refuses a value.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_kernel.set_all '{"net.core.somaxconn": "4096"}'
    """
    for name, value in settings.items():
        try:
            Path(sysctl.path(name)).write_text(value)
        except OSError as err:
            raise CommandExecutionError(
                f"the kernel refuses {name} = {value}: {err.strerror}"
            ) from err
        if name == "vm.nr_hugepages":
            _HUGE_PAGES_ASKED.parent.mkdir(parents=True, exist_ok=True)
            _HUGE_PAGES_ASKED.write_text(value)


def missing(modules: Iterable[str]) -> list[str]:
    """Return the modules that are not loaded and can be; the others are noted as left out.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_kernel.missing '[softdog, ip_vs]'
    """
    absent = [name for name in modules if not Path("/sys/module", name.replace("-", "_")).exists()]
    if absent and not allows("modules"):
        reason = "" if not container() else " (a container)"
        __salt__["pigsty_note.add"]("kernel modules" + reason, ", ".join(absent))
        return []
    found = []
    for name in absent:
        command = ["/usr/sbin/modprobe", "--dry-run", name]
        if __salt__["pigsty_command.problem"](command):
            __salt__["pigsty_note.add"]("kernel modules", f"{name} (not part of this kernel)")
        else:
            found.append(name)
    return found


def load(modules: Iterable[str]) -> None:
    """Load kernel modules now.

    Raises:
        CommandExecutionError: the kernel refuses one.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_kernel.load '[ip_vs]'
    """
    for name in modules:
        __salt__["pigsty_command.run"](["/usr/sbin/modprobe", name])


def _read(path: str) -> str | None:
    """Return a setting with single blanks between its numbers, or None when there is none."""
    try:
        return " ".join(Path(path).read_text().split())
    except OSError:
        return None


def _asked() -> str:
    """Return how many huge pages were asked for since the boot."""
    try:
        return _HUGE_PAGES_ASKED.read_text()
    except OSError:
        return ""
