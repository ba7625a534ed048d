"""What etcd holds of a PostgreSQL cluster, for those who outlive it: looked at, and deleted.

Runs on a member of etcd, as the store's root: a cluster's own members may all be gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import dcs
from pigsty.clients.etcd import Etcd, EtcdError, decode, encode
from pigsty.deadlines import DeadlineExceeded, wait_until
from pigsty.errors import ClientError
from pigsty.render.etcd import range_end

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
        return _read(client, cluster, _prefix(client, path or cluster)).to_dict()
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
        ``deleted``: how many keys that were.

    Raises:
        CommandExecutionError: somebody else lives in the cluster; nothing was deleted.

    CLI Example: called by `pigsty pgsql rm`.
    """
    try:
        client = _client()
        prefix = _prefix(client, path or cluster)
        if whole:
            return {"deleted": _forget_all(client, cluster, prefix, set(members))}
        if _read(client, cluster, prefix).leader in members:
            raise CommandExecutionError(f"{cluster} is led by a member that was to be removed")
        keys = [f"{prefix}{dcs.MEMBERS}{name}" for name in members]
        return {"deleted": sum(_delete(client, key) for key in keys)}
    except (ClientError, DeadlineExceeded) as err:
        raise CommandExecutionError(str(err)) from err


def _forget_all(client: Etcd, cluster: str, prefix: str, members: set[str]) -> int:
    """Delete all keys of a cluster whose leader has gone."""

    def leaderless() -> bool:
        found = _read(client, cluster, prefix)
        others = {member.name for member in found.members} - members
        if others:
            raise CommandExecutionError(
                f"{', '.join(sorted(others))} of {cluster} lives: its keys stay"
            )
        return not found.leader

    # One that was cut off without a goodbye holds its key until that expires.
    wait_until(leaderless, "removal.leaderless", f"the leader key of {cluster} is free")
    return _delete(client, prefix, range_end(prefix))


def _read(client: Etcd, cluster: str, prefix: str) -> dcs.Cluster:
    body = {"key": encode(prefix), "range_end": encode(range_end(prefix))}
    rows = client.call("kv/range", body).get("kvs", [])
    found = {decode(row["key"]).removeprefix(prefix): decode(row.get("value", "")) for row in rows}
    return dcs.parse(cluster, prefix, found)


def _delete(client: Etcd, key: str, end: str = "") -> int:
    body = {"key": encode(key)} | ({"range_end": encode(end)} if end else {})
    return int(client.call("kv/deleterange", body).get("deleted", 0))


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
