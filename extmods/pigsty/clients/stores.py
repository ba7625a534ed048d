"""The stores of a deployment's clusters, as the admin node reads them: with a user that only reads.

In etcd the user's password is derived from the deployment's key, and the client certificate is made
here for a day, because an admin node need be neither a member of etcd nor an infra node. Consul is
asked with the token that the inventory has for it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pigsty import keyspace, pki, sharding, views
from pigsty.clients.consul import Address, ConsulStore
from pigsty.clients.etcd import Etcd
from pigsty.clients.etcd_watch import EtcdStore
from pigsty.clients.store import Source, Store
from pigsty.errors import ClientError
from pigsty.pillar.etcd import WATCHER, watcher_password
from pigsty.pillar.site import Site
from pigsty.topology import PgCluster, Topology

log = logging.getLogger(__name__)

#: Where the certificate for a day is kept.
RUN = Path("/run/pigsty")
_DAYS = 1


@dataclass(frozen=True, slots=True)
class Access:
    """What opens the stores.

    Attributes:
        key: file of the deployment's key.
        pki: folder of the CA.
        run: folder for the client's certificate.
    """

    key: Path
    pki: Path
    run: Path = RUN

    def source(self, topology: Topology, kind: keyspace.Kind) -> Source | None:
        """Return a store and what is watched there; None when no cluster is in it.

        Raises:
            ClientError: the inventory has no such store, or this machine nothing to open it with.
        """
        if not keyspace.clusters(topology, kind):
            return None
        return Source(self.store(topology, kind), keyspace.watched(topology, kind))

    def store(self, topology: Topology, kind: keyspace.Kind = "etcd") -> Store:
        """Return a client of the store that the inventory names now.

        Raises:
            ClientError: there is none, or this machine has no CA to open it with.
        """
        if kind == "consul":
            return ConsulStore(consul_address(topology))
        if not topology.etcd:
            raise ClientError("the inventory has no etcd: there is nothing to watch")
        ca, cert, key = self._certificate()
        members = [
            Etcd(member.ip, int(member.node.vars["etcd_port"]), ca, cert, key)
            for member in topology.etcd
        ]
        site = Site.read(self.key, self.pki / "ca.crt")
        return EtcdStore(members, WATCHER, watcher_password(site))

    def of(self, topology: Topology, clusters: Sequence[PgCluster]) -> dict[str, views.ClusterView]:
        """Return how some clusters are in the store now, by their names in the inventory.

        Raises:
            ClientError: the store doesn't answer.
        """
        stores: dict[keyspace.Kind, Store] = {}
        found: dict[str, views.ClusterView] = {}
        for cluster in clusters:
            kind = keyspace.kind(cluster)
            store = stores.get(kind) or stores.setdefault(kind, self.store(topology, kind))
            space = f"{keyspace.namespace(cluster)}/"
            pairs = store.read(f"{space}{sharding.path(cluster)}/").pairs
            found |= known(topology, views.read(space, pairs))
        return found

    def all_views(self, topology: Topology) -> dict[str, views.ClusterView]:
        """Return how all clusters are in their stores now, in one read of each.

        Clusters of a store that doesn't answer are left out, as long as another one answers.

        Raises:
            ClientError: no store answers.
        """
        found: dict[str, views.ClusterView] = {}
        problems: list[ClientError] = []
        answers = 0
        for kind in keyspace.KINDS:
            try:
                source = self.source(topology, kind)
                if source is None:
                    continue
                pairs = source.store.read(source.namespace).pairs
            except ClientError as error:
                problems.append(error)
                continue
            answers += 1
            found |= known(topology, views.read(source.namespace, pairs))
        if problems and not answers:
            raise problems[0]
        for problem in problems:
            log.warning("%s: its clusters are looked at next time", problem)
        return found

    def _certificate(self) -> tuple[str, str, str]:
        """Return the files of CA, client certificate and key; make a new pair once a day."""
        ca, cert, key = self.pki / "ca.crt", self.run / "watch.crt", self.run / "watch.key"
        try:
            fresh = datetime.now(UTC) - timedelta(days=_DAYS / 2)
            # A CA that was replaced signs anew.
            made = cert.stat().st_mtime if cert.exists() and key.exists() else 0.0
            if made < max(fresh.timestamp(), ca.stat().st_mtime):
                self._make(ca, cert, key)
        except OSError as error:
            raise ClientError(f"no client certificate for the store: {error}") from error
        return str(ca), str(cert), str(key)

    def _make(self, ca: Path, cert: Path, key: Path) -> None:
        private = pki.make_key()
        leaf = pki.Leaf("watcher.admin", ("localhost",), (), _DAYS)
        ca_key = (self.pki / "ca.key").read_bytes()
        request = pki.make_csr(private)
        signed = pki.sign(ca_key, ca.read_bytes(), request, leaf, datetime.now(UTC))
        self.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(key, private)
        _write(cert, signed)


def consul_address(topology: Topology, token: str | None = None) -> Address:
    """Return how this machine reaches the Consul of the inventory's clusters.

    Args:
        topology: the inventory.
        token: with which rights; None: those of the admin node, which only reads.

    Raises:
        ClientError: no cluster uses Consul.
    """
    found = keyspace.clusters(topology, "consul")
    if not found:
        raise ClientError("no cluster of the inventory uses Consul")
    params = found[0].vars
    return Address(
        url=str(params["pg_consul_url"]),
        token=str(params["pg_consul_watch_token"] or "") if token is None else token,
        ca=str(params["pg_consul_ca"] or ""),
    )


def names(topology: Topology) -> dict[str, str]:
    """Return the name in the inventory of each cluster by the one that it has in the store's views.

    They differ for a group of Citus, which is ``shard:number`` there.
    """
    clusters = topology.pg_clusters.values()
    return {sharding.path(cluster).replace("/", ":"): cluster.name for cluster in clusters}


def known(topology: Topology, found: views.Views) -> dict[str, views.ClusterView]:
    """Return views by the clusters' names in the inventory; others keep the store's name."""
    inventory = names(topology)
    return {inventory.get(name, name): view for name, view in found.items()}


def _write(path: Path, content: bytes) -> None:
    """Replace a file that only its owner may read, at once."""
    new = path.with_suffix(f"{path.suffix}.{os.getpid()}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)
