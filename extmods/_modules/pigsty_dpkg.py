"""dpkg after a run that was cut off: what is half installed, and finishing it."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

from salt.exceptions import CommandExecutionError

from pigsty.deadlines import DEADLINES, wait_until
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
    _run("dpkg", "--force-confold", "--force-confdef", "--configure", "--pending", check=False)
    keep = ("-o", "DPkg::Options::=--force-confold", "-o", "DPkg::Options::=--force-confdef")
    _run("apt-get", "--yes", *keep, "--fix-broken", "install")


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


def _run(*command: str, check: bool = True) -> None:
    """Run a program that asks no questions."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=DEADLINES["node.dpkg"],
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise CommandExecutionError(f"{command[0]}: {err}") from err
    if check and done.returncode:
        raise CommandExecutionError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-800:]}")
