"""What etcd holds of a PostgreSQL cluster, for those who outlive it: looked at, and deleted.

Runs on a member of etcd, as the store's root: a cluster's own members may all be gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.clients import cluster_keys
from pigsty.clients.etcd import Etcd, EtcdError, decode
from pigsty.clients.etcd_watch import EtcdStore
from pigsty.deadlines import DeadlineExceeded
from pigsty.errors import ClientError

__virtualname__ = "pigsty_dcs"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def look(cluster: str, path: str = "") -> dict[str, Any]:
    """Return a cluster's keys (see :class:`pigsty.dcs.Cluster`); one without any doesn't exist.

    Args:
        cluster: its name.
        path: where its keys are, if not under its name: ``pg-citus/1`` for a group of Citus.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_dcs.look pg-test
    """
    try:
        client = _client()
        prefix = _prefix(client, path or cluster)
        return cluster_keys.look(EtcdStore([client]), cluster, prefix).to_dict()
    except ClientError as err:
        raise CommandExecutionError(str(err)) from err


def forget(
    cluster: str, members: Sequence[str], whole: bool = False, path: str = ""
) -> dict[str, Any]:
    """Delete the keys of members that were removed, or of the whole cluster once it is down.

    Args:
        cluster: its name.
        members: names of the members that were removed.
        whole: nothing of the cluster is left.
        path: where its keys are, if not under its name.

    Returns:
        ``forgotten``: the prefix of the keys.

    Raises:
        CommandExecutionError: somebody else lives in the cluster; nothing was deleted.

    CLI Example: called by `pigsty pgsql rm`.
    """
    try:
        client = _client()
        prefix = _prefix(client, path or cluster)
        cluster_keys.forget(EtcdStore([client]), cluster, prefix, members, whole=whole)
    except (ClientError, DeadlineExceeded) as err:
        raise CommandExecutionError(str(err)) from err
    return {"forgotten": prefix}


def _prefix(client: Etcd, path: str) -> str:
    """Return where a cluster's keys are: its role in the store says so, else it is the default."""
    scope, _, group = path.partition("/")
    try:
        perms = client.call("auth/role/get", {"role": scope}).get("perm", [])
    except EtcdError as err:
        if "role name not found" not in err.message:
            raise
        perms = []
    found = [decode(perm.get("key", "")) for perm in perms]
    own = next((key for key in found if key.endswith(f"/{scope}/")), f"/pg/{scope}/")
    return f"{own}{group}/" if group else own


def _client() -> Etcd:
    """Return a client of the store, through this member or the first that is healthy.

    Raises:
        CommandExecutionError: none is.
    """
    etcd = __pillar__["pigsty"]["etcd"]
    own = sorted(etcd["members"], key=lambda member: member["name"] != etcd["name"])
    for member in own:
        if __salt__["pigsty_etcd.healthy"](member):
            client: Etcd = __salt__["pigsty_etcd.client"](member)
            __salt__["pigsty_etcd.login"](client, etcd)
            return client
    raise CommandExecutionError("no member of etcd is healthy")
