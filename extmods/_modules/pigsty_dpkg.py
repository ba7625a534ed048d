"""dpkg after a run that was cut off: what is half installed, and finishing it."""

from __future__ import annotations

import fcntl
from pathlib import Path

from pigsty.deadlines import wait_until
from pigsty.render import dpkg

__virtualname__ = "pigsty_dpkg"

_LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")


def __virtual__() -> str:
    """Load everywhere; a machine without dpkg has nothing half installed."""
    return __virtualname__


def half() -> dict[str, str]:
    """Return the packages that are neither installed nor not, with their state.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_dpkg.half
    """
    try:
        status = Path(dpkg.STATUS).read_text("utf-8", errors="replace")
        updates = [entry.name for entry in Path(dpkg.UPDATES).iterdir()]
    except OSError:
        return {}
    return dpkg.half(status, updates)


def await_others() -> None:
    """Wait until no other program works on the packages.

    Raises:
        DeadlineExceeded: one still does.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_dpkg.await_others
    """
    wait_until(_unlocked, "node.dpkg", "another program that installs packages ends")


def finish() -> None:
    """Configure what is unpacked, and fetch what is missing for that.

    Configuration files that exist are kept.

    Raises:
        CommandExecutionError: dpkg or apt failed; the text holds the end of what it says.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_dpkg.finish
    """
    force = ("--force-confold", "--force-confdef")
    # What can't be configured for lack of another package is apt's matter.
    __salt__["pigsty_command.problem"](["dpkg", *force, "--configure", "--pending"], "node.dpkg")
    options = [part for option in force for part in ("-o", f"DPkg::Options::={option}")]
    command = ["apt-get", "--yes", *options, "--fix-broken", "install"]
    __salt__["pigsty_command.run"](command, "node.dpkg")


def _unlocked() -> bool:
    """Return whether nobody holds dpkg's locks."""
    for path in _LOCKS:
        try:
            with Path(path).open("a") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            continue
    return True
