"""What Patroni's REST API can be told to do: hand over, restart, rebuild, pause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pigsty.clients.patroni import Patroni


class Actions(Patroni):
    """The REST API of one member, with the calls that change something.

    Each needs the user and password of the cluster's API, and a ``timeout`` that fits it: Patroni
    answers a switchover or a restart when it is over.
    """

    def switchover(self, leader: str, candidate: str) -> str:
        """Hand the lead over; return what Patroni says of it.

        Args:
            leader: who leads now; Patroni refuses when that isn't so any more.
            candidate: who shall.

        Raises:
            ClientError: refused, failed, or no answer in time.
        """
        return self._say("/switchover", {"leader": leader, "candidate": candidate})

    def failover(self, candidate: str) -> str:
        """Make a member the leader, whoever leads now; return what Patroni says of it.

        Raises:
            ClientError: refused, failed, or no answer in time.
        """
        return self._say("/failover", {"candidate": candidate})

    def restart(self) -> str:
        """Restart this member's PostgreSQL; return what Patroni says when it runs again.

        Raises:
            ClientError: refused, failed, or no answer in time.
        """
        return self._say("/restart", {})

    def reinitialize(self) -> str:
        """Begin to throw this replica's data away and to copy them again.

        Raises:
            ClientError: refused (it leads, or a copy is under way), or no answer in time.
        """
        return self._say("/reinitialize", {"force": True})

    def pause(self, on: bool) -> None:
        """Begin or end the maintenance mode of the whole cluster.

        Raises:
            ClientError: refused, or no answer in time.
        """
        self.patch_config({"pause": True if on else None})

    def follow_cluster(self, upstream: Mapping[str, Any] | None) -> None:
        """Make the cluster the standby of another one, or (None) one that takes writes itself.

        Raises:
            ClientError: refused, or no answer in time.
        """
        self.patch_config({"standby_cluster": None if upstream is None else dict(upstream)})

    def _say(self, path: str, body: dict[str, object]) -> str:
        return self._expect("POST", path, body).decode("utf-8", "replace").strip()
