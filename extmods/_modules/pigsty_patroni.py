"""This member's Patroni: who it is now, what its files shall be, and waiting for it."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.clients.patroni import Patroni, Status
from pigsty.deadlines import DeadlineExceeded, wait_until
from pigsty.errors import ClientError
from pigsty.render import libraries, patroni
from pigsty.render.files import File
from pigsty.render.pglayout import GROUP
from pigsty.render.tuning import GIB, Machine

__virtualname__ = "pigsty_patroni"

#: Taken for the size of the data disk where it can't be read.
UNKNOWN_DISK = 40 * GIB


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def status() -> dict[str, Any]:
    """Return what this member's Patroni says of itself.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_patroni.status
    """
    try:
        return dataclasses.asdict(_client().status())
    except ClientError as err:
        raise CommandExecutionError(str(err)) from err


def live_role() -> str | None:
    """Return the role that this member has now; None before it has any data.

    While Patroni doesn't answer, the data directory tells: a standby has its signal file.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_patroni.live_role
    """
    data = Path(_spec()["params"]["pg_data"])
    if not (data / "PG_VERSION").exists():
        return None
    try:
        role = _client().status().role
    except ClientError:
        role = ""
    if role in ("primary", "standby_leader", "replica"):
        return role
    return "replica" if (data / "standby.signal").exists() else "primary"


def machine() -> dict[str, int]:
    """Return what settings are computed from: CPUs, MiB of memory, bytes of the data disk.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_patroni.machine
    """
    return dataclasses.asdict(_machine())


def watchdog() -> bool:
    """Tell whether the machine has a watchdog device.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_patroni.watchdog
    """
    return Path(patroni.WATCHDOG).exists()


def files(refused: Collection[str] = (), lacking: Sequence[str] = ()) -> list[File]:
    """Return Patroni's configuration as it shall be.

    Args:
        refused: settings that PostgreSQL would not take.
        lacking: declared libraries that it can't load.

    CLI Example: called by states.
    """
    spec = patroni.without(_spec(), refused) if refused else _spec()
    config = patroni.build(spec, _machine(), watchdog=watchdog(), lacking=lacking)
    path = spec["platform"]["patroni_config"]
    user = spec["params"]["pg_dbsu"]
    return [File(path, patroni.text(config), mode="0600", user=user, group=GROUP, secret=True)]


def refused() -> dict[str, str]:
    """Return which of the declared settings PostgreSQL would not take here, and why.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_patroni.refused
    """
    spec = _spec()
    wanted = patroni.settings(spec, _machine())
    names = libraries.effective(spec["params"])
    found: dict[str, str] = __salt__["pigsty_trial.refused"](wanted, names)
    return found


def lacking() -> list[str]:
    """Return which of the declared libraries this member's PostgreSQL can't load.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_patroni.lacking
    """
    found: list[str] = __salt__["pigsty_trial.unloadable"](libraries.effective(_spec()["params"]))
    return found


def inputs() -> list[str]:
    """Return the files that Patroni, and PostgreSQL with it, reads at its start and when reloaded.

    CLI Example: called by states.
    """
    spec = _spec()
    names = ("server.crt", "server.key", "ca.crt")
    return [
        spec["platform"]["patroni_config"],
        *(f"{spec['certificates']}/{name}" for name in names),
    ]


def await_member(unit: str) -> dict[str, Any]:
    """Wait until this member's PostgreSQL serves and the cluster has a leader; return its status.

    A replica that still copies its data at the deadline is no failure: the copy goes on.

    Args:
        unit: Patroni's unit, whose failure ends the wait.

    Raises:
        CommandExecutionError: the unit failed, or nothing came of it before the deadline.

    CLI Example: called by states.
    """
    seen: list[Status] = []

    def answers() -> bool:
        try:
            seen[:] = [_client().status()]
        except ClientError as err:
            state = __salt__["pigsty_systemd.show"](unit)[unit]
            if state.get("ActiveState") == "failed":
                raise CommandExecutionError(f"{unit} failed: see `journalctl -u {unit}`") from err
            return False
        return True

    def serves() -> bool:
        return answers() and seen[0].running and (seen[0].leader or not seen[0].unlocked)

    bootstraps = _spec()["role"] == "primary"
    try:
        wait_until(answers, "patroni.rest", "Patroni answers")
        wait_until(
            serves,
            "patroni.primary" if bootstraps else "patroni.replica",
            "PostgreSQL serves under Patroni",
        )
    except DeadlineExceeded as err:
        state = seen[0].state if seen else "silent"
        if state == "creating replica":
            return dataclasses.asdict(seen[0])
        leader = "" if not seen or not seen[0].unlocked else "; the cluster has no leader"
        raise CommandExecutionError(
            f"{err}. It is {state}{leader}: see {_spec()['params']['patroni_log_dir']}/patroni.log"
        ) from err
    return dataclasses.asdict(seen[0])


def await_reload(again: bool = False) -> dict[str, Any]:
    """Wait until Patroni, which was told to reload, works with the file that is on disk.

    It reads the file at its next look: first it has PostgreSQL reload, then it takes the new
    credentials of the DCS, then it looks at the DCS.

    Args:
        again: wait also until it has seen the DCS once more from now on.

    Returns:
        ``{"name": …, "since": …}``: the member, and when PostgreSQL loaded its configuration.

    Raises:
        CommandExecutionError: not before the deadline ``patroni.reloads``.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_patroni.await_reload
    """
    written = Path(_spec()["platform"]["patroni_config"]).stat().st_mtime
    asked = time.time() if again else 0.0
    loaded: list[float] = []

    def done() -> bool:
        loaded[:] = [__salt__["pigsty_hba.loaded_at"]()]
        try:
            return loaded[0] > written and _client().status().looked > max(loaded[0], asked)
        except ClientError:
            return False

    try:
        wait_until(done, "patroni.reloads", "Patroni works with its new configuration")
    except DeadlineExceeded as err:
        raise CommandExecutionError(str(err)) from err
    return {"name": _spec()["instance"], "since": loaded[0]}


def _spec() -> dict[str, Any]:
    spec: dict[str, Any] = __pillar__["pigsty"]["pgsql"]
    return spec


def _client() -> Patroni:
    return Patroni.of_pillar(_spec())


def _machine() -> Machine:
    return Machine(
        cpu=len(os.sched_getaffinity(0)),
        memory=-(-_memory() // 1024**2),
        disk=_disk(Path(_spec()["directories"]["main"])),
    )


def _memory() -> int:
    """Return the bytes of RAM that may be used: the machine's, or the control group's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path("/sys/fs/cgroup", name).read_text()))
        except (OSError, ValueError):
            continue
    return total


def _disk(path: Path) -> int:
    """Return the size of the file system that holds a path, or will hold it."""
    existing = next((place for place in (path, *path.parents) if place.exists()), None)
    if existing is None:
        return UNKNOWN_DISK
    try:
        found = os.statvfs(existing)
    except OSError:
        return UNKNOWN_DISK
    return found.f_frsize * found.f_blocks
