"""HAProxy of this machine follows a planned move of the lead at once, not at its next checks.

Its checks remain the authority: what is set here is what they would find some seconds later, and a
moment after it they look again.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.clients.patroni import CA, Patroni
from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until
from pigsty.errors import ClientError
from pigsty.render import haproxy

__virtualname__ = "pigsty_follow"

SOCKET = haproxy.ADMIN_SOCKET
MARKERS = Path("/run/pigsty")
#: Services that go where the leader is, by the health check that they make.
_LEADS = re.compile(r"^\s*http-check send meth \w+ uri /(primary|read-write)\s*$", re.M)
_PART = re.compile(r"^(?:listen|backend) (\S+)$", re.M)


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def leader(cluster: str, host: str, port: int, tls: bool, new: str, old: str = "") -> list[str]:
    """Wait until a member leads, and send the connections of its cluster's services to it.

    Args:
        cluster: the cluster's name.
        host: address of the member that shall lead.
        port: of its Patroni's REST API.
        tls: whether that API speaks TLS.
        new: the member's name.
        old: name of the member that leads now; its connections are closed. Empty without one.

    Returns:
        The services that follow.

    Raises:
        CommandExecutionError: it doesn't lead in time, or HAProxy refused.

    CLI Example: called by `pigsty pgsql switchover`.
    """
    names = followers(new)
    probe = Patroni(host, port, ca=CA if tls else None)
    marker = _marker(cluster)
    marker.parent.mkdir(exist_ok=True)
    marker.touch()

    def leads() -> bool:
        try:
            return probe.healthy("/primary")
        except ClientError:
            return False

    try:
        wait_until(leads, "patroni.leads", f"{new} leads")
        said = [_ask(line) for line in commands(names, new, old)]
    except DeadlineExceeded as err:
        raise CommandExecutionError(str(err)) from err
    finally:
        marker.unlink(missing_ok=True)
    if wrong := [answer for answer in said if answer]:
        raise CommandExecutionError(f"HAProxy: {'; '.join(wrong)}")
    return names


def armed(cluster: str) -> bool:
    """Tell whether :func:`leader` is on watch here, after a short wait.

    Args:
        cluster: the cluster's name.

    CLI Example: called by `pigsty pgsql switchover`.
    """
    try:
        wait_until(_marker(cluster).exists, "follow.armed", "HAProxy is ready to follow")
    except DeadlineExceeded:
        return False
    return True


def followers(member: str) -> list[str]:
    """Return the parts of services here that go where the leader of a member's cluster is.

    Args:
        member: a member's name.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_follow.followers pg-test-1
    """
    texts: dict[str, Any] = __salt__["pigsty_haproxy.present"]()
    found = []
    server = re.compile(rf"^\s*server {re.escape(member)} ", re.MULTILINE)
    for _, text in sorted(texts.items()):
        # Before the first part's name, and then: name, text, name, text …
        _, *parts = _PART.split(text)
        for name, lines in zip(parts[::2], parts[1::2], strict=True):
            if _LEADS.search(lines) and server.search(lines):
                found.append(name)
    return found


def commands(names: list[str], new: str, old: str) -> list[str]:
    """Return what HAProxy is told: the new leader is up first, then the old one is down.

    CLI Example: called by this module.
    """
    up = [f"set server {name}/{new} health up" for name in names]
    return up + ([f"set server {name}/{old} health down" for name in names] if old else [])


def _marker(cluster: str) -> Path:
    return MARKERS / f"follow.{cluster.replace('/', '_')}"


def _ask(command: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as admin:
            admin.settimeout(DEADLINES["follow.armed"])
            admin.connect(SOCKET)
            admin.sendall(f"{command}\n".encode())
            admin.shutdown(socket.SHUT_WR)
            return admin.recv(65536).decode("utf-8", "replace").strip()
    except OSError as err:
        return f"{SOCKET}: {err}"
