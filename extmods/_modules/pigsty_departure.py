"""The end of a node: what of ours runs and lies on this machine, and Salt's own farewell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import departure
from pigsty.deadlines import DEADLINES
from pigsty.render import hosts
from pigsty.render.files import File

__virtualname__ = "pigsty_departure"

HOSTS = "/etc/hosts"
#: Run by systemd a moment after the answer has left: a minion can't delete itself.
_FAREWELL = """systemctl disable --now salt-minion.service
rm -rf /opt/pigsty/venv /etc/salt /var/cache/salt /var/lib/pigsty /run/pigsty
rm -f /etc/systemd/system/salt-minion.service /usr/local/bin/salt-call
systemctl daemon-reload"""


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def drop_ins() -> list[str]:
    """Return the folders of our drop-ins, by their names.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_departure.drop_ins
    """
    found = Path(departure.DROP_INS).glob(f"*.d/{departure.DROP_IN}")
    return sorted(path.parent.name for path in found)


def files() -> list[File]:
    """Return our files as they shall be: gone, and /etc/hosts without our names.

    CLI Example: called by states.
    """
    names = __salt__["pigsty_file.read"](HOSTS) or ""
    return [*departure.files(drop_ins()), File(HOSTS, hosts.hosts(names, ()))]


def farewell() -> dict[str, Any]:
    """Have the minion stopped and deleted, just after this answer.

    CLI Example: called by `pigsty node rm`.
    """
    if shutil.which("systemd-run") is None:
        raise CommandExecutionError("there is no systemd-run here: stop the minion by hand")
    done = subprocess.run(
        ["systemd-run", "--collect", "--unit=pigsty-farewell", "--on-active=2", "/bin/sh", "-c",
         _FAREWELL],
        capture_output=True, text=True, check=False, timeout=DEADLINES["node.systemctl"],
    )  # fmt: skip
    if done.returncode and "already" not in done.stderr:
        raise CommandExecutionError(f"systemd-run: {done.stderr.strip()}")
    return {"farewell": True}
