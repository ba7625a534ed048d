"""HAProxy on this machine: its files, a check before a configuration counts, and reloading."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import balancing
from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until
from pigsty.render import haproxy

__virtualname__ = "pigsty_haproxy"

_STATES = "show servers state"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def present() -> dict[str, str]:
    """Return the text of the service files that HAProxy reads, by file name.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_haproxy.present
    """
    folder = Path(haproxy.SERVICES)
    if not folder.is_dir():
        return {}
    # HAProxy itself skips hidden files and every other suffix.
    names = sorted(file for file in folder.glob("*.cfg") if not file.name.startswith("."))
    return {file.name: file.read_text("utf-8", errors="surrogateescape") for file in names}


def check(main: str, files: Mapping[str, str]) -> str:
    """Ask HAProxy whether it accepts a configuration, without touching the one in use.

    Args:
        main: text of the main file.
        files: text of each service file, by name.

    Returns:
        What HAProxy has against it; empty when it accepts.

    CLI Example: called by states.
    """
    # The folder is readable by root only (mkdtemp), because the main file holds a password.
    with tempfile.TemporaryDirectory(prefix="pigsty-haproxy-") as folder:
        stage = Path(folder)
        (stage / "conf.d").mkdir()
        (stage / "haproxy.cfg").write_text(main, encoding="utf-8")
        for name, contents in files.items():
            (stage / "conf.d" / name).write_text(contents, "utf-8", errors="surrogateescape")
        command = ["haproxy", "-c", "-f", f"{stage}/haproxy.cfg", "-f", f"{stage}/conf.d"]
        said: str = __salt__["pigsty_command.problem"](command)
    return said.replace(folder, "/etc/haproxy")


def need(status: Mapping[str, str], owner: str, main: bool) -> str:
    """Return what a running HAProxy needs to match its files: ``restart``, ``reload`` or nothing.

    A restart is needed when it runs without the folder of services, because a reload keeps the
    arguments of the process.

    Args:
        status: the unit's properties from ``pigsty_systemd.show``.
        owner: who asks; see :func:`pigsty.render.haproxy.behind`.
        main: whether the main file is the owner's matter too.

    CLI Example: called by states.
    """
    if status.get("ActiveState") not in ("active", "reloading"):
        return ""
    try:
        arguments = Path(f"/proc/{status['MainPID']}/cmdline").read_text().split("\0")
    except (OSError, KeyError):
        return "restart"
    if haproxy.SERVICES not in arguments:
        return "restart"
    try:
        record = Path(haproxy.LOADED).read_text()
        text = Path(haproxy.MAIN).read_text("utf-8") if main else None
        known = main and Path(haproxy.CA).exists()
        authorities = Path(haproxy.CA).read_text("utf-8") if known else None
    except OSError:
        return "reload"
    behind = haproxy.behind(record, text, present(), owner, authorities)
    return "reload" if behind else ""


def reload() -> None:
    """Reload HAProxy and wait until the new worker serves; connections of the old one go on.

    Raises:
        CommandExecutionError: HAProxy kept its old configuration; the text holds its reason.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_haproxy.reload
    """
    before = _ask("show proc")
    __salt__["pigsty_systemd.act"]("reload", haproxy.UNIT)
    outcome = ""

    def settled() -> bool:
        nonlocal outcome
        outcome = haproxy.outcome(before, _ask("show proc"))
        return outcome != ""

    try:
        wait_until(settled, "haproxy.reload", "HAProxy starts with the new configuration")
    except DeadlineExceeded as err:
        outcome = str(err)
    if outcome != "reloaded":
        # The unit has written what it meant to load; it did not.
        Path(haproxy.LOADED).unlink(missing_ok=True)
        said = _ask("show startup-logs").strip()
        raise CommandExecutionError(
            f"{outcome}: HAProxy kept its old configuration. It says: {said}"
        )


def servers(parts: list[str]) -> list[dict[str, Any]]:
    """Return the servers of some parts of HAProxy's configuration as they live.

    Args:
        parts: their names.

    Raises:
        CommandExecutionError: HAProxy doesn't answer.

    CLI Example: called by `pigsty pgsql svc`.
    """
    stat, states = (_ask(c, haproxy.ADMIN_SOCKET) for c in ("show stat -1 4 -1", _STATES))
    if not stat:
        raise CommandExecutionError("HAProxy doesn't answer: `systemctl status haproxy` says why")
    return [row for row in balancing.parse(stat, states) if row["part"] in parts]


def turn(parts: list[str], member: str, state: str) -> list[dict[str, Any]]:
    """Bring a member behind some parts into a state, and return them all as they are then.

    Args:
        parts: names of parts that the member stands in.
        member: its name.
        state: ``ready``, ``drain`` or ``maint``.

    Raises:
        CommandExecutionError: HAProxy refused; the text is its own.

    CLI Example: called by `pigsty pgsql svc`.
    """
    if state not in balancing.STATES:
        raise CommandExecutionError(f"no state of a server: {state}")
    for part in parts:
        said = _ask(f"set server {part}/{member} state {state}", haproxy.ADMIN_SOCKET).strip()
        if said:
            raise CommandExecutionError(f"HAProxy on {part}/{member}: {said}")
    rows = servers(parts)
    if left := [r["part"] for r in rows if r["member"] == member and r["state"] != state]:
        raise CommandExecutionError(f"told to, but {member} is not {state} in {', '.join(left)}")
    return rows


def _ask(command: str, where: str = "") -> str:
    """Return the answer of HAProxy (its master, unless told) to a command; empty without one."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as master:
            master.settimeout(DEADLINES["haproxy.reload"])
            master.connect(where or haproxy.MASTER_SOCKET)
            master.sendall(f"{command}\n".encode())
            # Without this the master waits for another command, and we for the end of its answer.
            master.shutdown(socket.SHUT_WR)
            answer = b""
            while part := master.recv(65536):
                answer += part
    except OSError:
        return ""
    return answer.decode("utf-8", errors="replace")
