"""What the servers of a Citus cluster need to log in to each other.

Citus connects from one machine to another as the user whose query it is, without knowing a
password. Each server therefore has a password file, which libpq finds by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pigsty.render.files import File
from pigsty.render.pglayout import GROUP


def path(params: Mapping[str, Any]) -> str:
    """Return the path of the password file: in the superuser's home, where libpq looks."""
    return f"{str(params['pg_dbsu_home']).rstrip('/')}/.pgpass"


def files(spec: Mapping[str, Any]) -> list[File]:
    """Return the password file of a member; none for a cluster by itself.

    Args:
        spec: the pillar's ``pigsty:pgsql``.
    """
    citus, params = spec["citus"], spec["params"]
    if citus is None:
        return []
    # A server asks itself as well: by its address, or as Patroni does, through the socket.
    ways = [(row["ip"], row["port"]) for row in citus["hosts"]]
    ways += [(host, params["pg_port"]) for host in ("localhost", params["pg_localhost"])]
    lines = [
        ":".join(_escaped(word) for word in (host, port, citus["database"], name, password))
        for host, port in dict.fromkeys(ways)
        for name, password in sorted(citus["passwords"].items())
    ]
    return [
        File(
            path(params),
            "\n".join(["# Managed by Pigsty: change the inventory instead.", *lines]) + "\n",
            mode="0600",
            user=params["pg_dbsu"],
            group=GROUP,
            secret=True,
        )
    ]


def _escaped(word: object) -> str:
    return str(word).replace("\\", "\\\\").replace(":", "\\:")
