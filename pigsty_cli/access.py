"""How the members of a cluster are reached: addresses, certificate, user and password."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pigsty.clients.patroni import CA
from pigsty.clients.patroni_actions import Actions
from pigsty.deadlines import DEADLINES
from pigsty.topology import PgCluster


@dataclass(frozen=True, slots=True)
class Access:
    """How the members of a cluster are reached.

    Attributes:
        cluster: as the inventory declares it.
        port: of the REST API.
        ca: CA certificate file; None without TLS.
        username: of the API.
        password: of the API.
    """

    cluster: PgCluster
    port: int
    ca: str | None
    username: str
    password: str

    def client(self, host: str, deadline: str = "patroni.request") -> Actions:
        """Return a client of one member whose calls may take as long as a deadline."""
        return Actions(
            host,
            self.port,
            ca=self.ca,
            username=self.username,
            password=self.password,
            timeout=DEADLINES[deadline],
        )


def of(cluster: PgCluster, key: str | Path, ca: str | Path) -> Access:
    """Return how a cluster's members are reached.

    Args:
        cluster: as the inventory declares it.
        key: file of the deployment's key, for a password that the inventory leaves open.
        ca: file of the CA's certificate on the admin node.

    Raises:
        PillarError: this machine is no admin node.
    """
    # The pillar's renderers take a moment to import, which `pigsty --help` needn't wait for.
    from pigsty.pillar.pgsql import patroni_password
    from pigsty.pillar.site import Site

    params = cluster.vars
    return Access(
        cluster=cluster,
        port=int(params["patroni_port"]),
        ca=CA if params["patroni_ssl_enabled"] else None,
        username=str(params["patroni_username"]),
        password=patroni_password(cluster, Site.read(key, ca)),
    )
