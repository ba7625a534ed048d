"""Where HAProxy of this machine sends connections right now, by its own checks."""

from __future__ import annotations

import csv
import socket
from collections.abc import Sequence
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until

__virtualname__ = "pigsty_routes"

SOCKET = "/run/haproxy/admin.sock"
#: Rows of HAProxy's statistics that are no servers.
_SUMS = ("FRONTEND", "BACKEND")


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def look(prefix: str) -> dict[str, dict[str, str]]:
    """Return the state of every server of some services: service to server to ``UP``, ``DOWN`` …

    Args:
        prefix: how the services' names begin, ``pg-test-`` for example.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_routes.look pg-test-
    """
    found: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(_ask("show stat").lstrip("# ").splitlines()):
        service, server = row.get("pxname", ""), row.get("svname", "")
        if service.startswith(prefix) and server not in _SUMS:
            found.setdefault(service, {})[server] = row.get("status", "")
    return found


def await_up(members: Sequence[str], prefix: str) -> dict[str, Any]:
    """Wait until HAProxy sends connections to members, each by one of their services at least.

    A member that no service has (a selector leaves it out) isn't waited for.

    Args:
        members: their names.
        prefix: how the services' names begin.

    Returns:
        The services that lead to each of them.

    Raises:
        CommandExecutionError: HAProxy doesn't before the deadline.

    CLI Example: called by `pigsty pgsql add`.
    """

    def leading() -> dict[str, list[str]]:
        seen = look(prefix)
        found: dict[str, list[str]] = {}
        for member in members:
            states = {name: row[member] for name, row in seen.items() if member in row}
            if states:
                found[member] = sorted(n for n, state in states.items() if state.startswith("UP"))
        return found

    try:
        wait_until(
            lambda: all(leading().values()),
            "scaling.routed",
            f"HAProxy sends connections to {', '.join(members)}",
        )
    except DeadlineExceeded as err:
        raise CommandExecutionError(str(err)) from err
    return leading()


def _ask(command: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as admin:
            admin.settimeout(DEADLINES["haproxy.reload"])
            admin.connect(SOCKET)
            admin.sendall(f"{command}\n".encode())
            admin.shutdown(socket.SHUT_WR)
            answer = b""
            while part := admin.recv(65536):
                answer += part
    except OSError as err:
        raise CommandExecutionError(f"{SOCKET}: {err}") from err
    return answer.decode("utf-8", "replace")
