"""This node's member of etcd: what the states need to know of it and do to it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.clients.etcd import BAD_PASSWORD, NO_AUTH, Etcd, EtcdError, Member, Unreachable
from pigsty.deadlines import DEADLINES, DeadlineExceeded, wait_until
from pigsty.errors import ClientError
from pigsty.render import etcd as render

__virtualname__ = "pigsty_etcd"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def client(member: Mapping[str, Any]) -> Etcd:
    """Return a client of a member, with this node's certificate.

    CLI Example: called by states.
    """
    return Etcd(member["ip"], member["port"], render.CA, render.CERT, render.KEY)


def healthy(member: Mapping[str, Any]) -> bool:
    """Return whether a member answers and its cluster has a leader.

    CLI Example: called by states.
    """
    return client(member).healthy()


def start_values(etcd: Mapping[str, Any], test: bool) -> dict[str, str]:
    """Return how this member finds its cluster; a cluster that lives is joined, not begun anew.

    A member that has data, or once was told, keeps what it was told. A member without data that is
    started as a new one beside a living cluster would begin a second one of the same name: so the
    other members are asked first.

    Args:
        etcd: ``pigsty:etcd`` of the pillar.
        test: only look; a cluster is not told of the new member.

    Raises:
        CommandExecutionError: the member lost its data, or the cluster refuses it.

    CLI Example: called by the state ``pigsty_etcd.member``.
    """
    old = render.kept(__salt__["pigsty_file.read"](render.CONF))
    if (Path(etcd["data"]) / "member").is_dir():
        return old or render.initial(etcd)
    alive = None if test and not Path(render.CERT).exists() else _alive(etcd)
    if alive is None:
        if etcd["init"] == "existing" and not test:
            raise CommandExecutionError(
                "etcd_init is `existing`, but no other member answers: start the cluster first"
            )
        return render.initial(etcd)
    peer = _peer(etcd)
    members = _members(alive)
    mine = next((m for m in members if peer in m.peers), None)
    if mine is None:
        if test:
            return render.initial(etcd)
        # One new member at a time: the cluster refuses a second until the first one has its vote.
        wait_until(lambda: _added(alive, peer, etcd), "etcd.quorum", "etcd takes a new member")
        members = _members(alive)
    elif mine.clients:
        raise CommandExecutionError(
            f"the cluster knows {mine.name} as a member that ran before, but {etcd['data']} is "
            "empty: restore it, or remove the member "
            f"(`etcdctl member remove {int(mine.id):x}`) and apply again"
        )
    elif all(m.name for m in members):
        # All are new, and a majority was quicker: this one is on their list from the beginning.
        return render.initial(etcd)
    own = {peer: etcd["name"]}
    rows = [(m.name or own.get(m.peers[0], ""), m.peers[0]) for m in members if m.peers]
    return render.joining([row for row in rows if row[0]])


def learner(etcd: Mapping[str, Any]) -> str:
    """Return the id of this node's member while it has no vote and shall have one, else "".

    Args:
        etcd: ``pigsty:etcd`` of the pillar.

    CLI Example: called by the state ``pigsty_etcd.member``.
    """
    alive = None if etcd["learner"] or not Path(render.CERT).exists() else _alive(etcd)
    if alive is None:
        return ""
    peer = _peer(etcd)
    return next((m.id for m in _members(alive) if peer in m.peers and m.learner), "")


def promote(etcd: Mapping[str, Any], member: str) -> None:
    """Give this node's member its vote, once it has the leader's data.

    Args:
        etcd: ``pigsty:etcd`` of the pillar.
        member: its id.

    Raises:
        DeadlineExceeded: it doesn't catch up.
        CommandExecutionError: the cluster refuses it.

    CLI Example: called by the state ``pigsty_etcd.member``.
    """
    alive = _alive(etcd)
    if alive is None:
        raise CommandExecutionError(
            "no other member of etcd is healthy, which has to give the vote"
        )
    wait_until(lambda: _promoted(alive, member, etcd), "etcd.quorum", "the new member has the data")


def roster() -> dict[str, Any]:
    """Return the members of etcd as the cluster knows them, and who leads.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_etcd.roster
    """
    try:
        alive = _connected(__pillar__["pigsty"]["etcd"])
        leader = str(alive.call("maintenance/status").get("leader", ""))
        members = alive.members()
    except ClientError as err:
        raise CommandExecutionError(str(err)) from err
    return {
        "members": [
            {
                "id": member.id,
                "name": member.name,
                "peers": list(member.peers),
                "learner": member.learner,
                "leader": member.id == leader,
            }
            for member in members
        ]
    }


def age() -> dict[str, Any]:
    """Return for how many seconds this node's member has had data: since it joined.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_etcd.age
    """
    data = Path(__pillar__["pigsty"]["etcd"]["data"]) / "member"
    try:
        # What changes in its folder is only that the member begins.
        return {"seconds": time.time() - data.stat().st_mtime}
    except OSError as err:
        raise CommandExecutionError(f"no member of etcd lives here: {err}") from err


def expel(member: str) -> dict[str, Any]:
    """Take a member out of the cluster; who has left already is no error.

    Args:
        member: its id, as the cluster knows it.

    Raises:
        CommandExecutionError: the cluster refuses: too few others are healthy.

    CLI Example: called by `pigsty etcd rm`.
    """
    try:
        alive = _connected(__pillar__["pigsty"]["etcd"])
        known = {found.id for found in alive.members()}
        if member in known:
            # A member that came back a moment ago counts as healthy after five seconds only.
            wait_until(
                lambda: _gone(alive, member), "etcd.healthy", "the other members are connected"
            )
    except (ClientError, DeadlineExceeded) as err:
        raise CommandExecutionError(str(err)) from err
    return {"expelled": member in known}


def _connected(etcd: Mapping[str, Any]) -> Etcd:
    """Return a client that may do everything, of the first member that is healthy."""
    own = sorted(etcd["members"], key=lambda found: found["name"] != etcd["name"])
    for member in own:
        if healthy(member):
            found = client(member)
            login(found, etcd)
            return found
    raise CommandExecutionError("no member of etcd is healthy")


def login(connection: Etcd, etcd: Mapping[str, Any]) -> str:
    """Act as root: with the pillar's password, or the one that is still in force.

    Returns:
        ``on``, ``old`` (it was the old password), or ``off`` (the store has no users yet).

    Raises:
        CommandExecutionError: neither password is right.

    CLI Example: called by states.
    """
    old = (__salt__["pigsty_file.read"](render.PASSWORD) or "").rstrip("\n")
    for password, state in ((etcd["root_password"], "on"), (old, "old")):
        if not password:
            continue
        try:
            connection.authenticate("root", password)
        except EtcdError as error:
            if NO_AUTH in error.message:
                return "off"
            if BAD_PASSWORD not in error.message:
                raise CommandExecutionError(str(error)) from error
        else:
            return state
    raise CommandExecutionError(
        f"etcd refuses etcd_root_password, and {render.PASSWORD} holds no other that it takes: set "
        "the one that is in force"
    )


def restart(etcd: Mapping[str, Any], unit: str) -> None:
    """Restart this member when it is its turn, and see it healthy again.

    Only one member restarts at a time (a lock in etcd itself says which), and only while a majority
    stays without it. A cluster that has no leader has nothing to lose: there it restarts at once.

    Raises:
        DeadlineExceeded: other members aren't healthy, or this one doesn't come back.

    CLI Example: called by the state ``pigsty_etcd.member``.
    """
    me = next(m for m in etcd["members"] if m["name"] == etcd["name"])
    others = [m for m in etcd["members"] if m is not me]
    own = client(me)
    if len(others) < 2 or not own.healthy():
        # Of one or two members none can be spared, and the restart has to be.
        _restart(own, unit)
        return
    held: list[str] = []
    login(own, etcd)
    # As long as a turn can take; the lock of a member that died while it held it ends by itself.
    seconds = int(DEADLINES["etcd.turn"] + 2 * DEADLINES["etcd.healthy"])

    def turn() -> bool:
        lease = own.lock(render.LOCK, etcd["name"], seconds)
        if lease is not None:
            held.append(lease)
        return bool(held)

    wait_until(turn, "etcd.turn", "the other members of etcd have restarted")
    try:
        needed = len(etcd["members"]) // 2 + 1
        wait_until(
            lambda: sum(healthy(m) for m in others) >= needed,
            "etcd.turn",
            f"{needed} other members of etcd are healthy, so that this one may restart",
        )
        _restart(own, unit)
    finally:
        _release(others, etcd, held)


def stamp() -> dict[str, Any]:
    """Return what was last seen to be right about etcd's users.

    CLI Example: called by the state ``pigsty_etcd.auth``.
    """
    try:
        data = json.loads(Path(render.STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _alive(etcd: Mapping[str, Any]) -> Etcd | None:
    """Return a client of another member whose cluster has a leader, or None when there is none."""
    for member in etcd["members"]:
        if member["name"] == etcd["name"] or not _listens(member):
            continue
        connection = client(member)
        if connection.healthy():
            return connection
    return None


def _listens(member: Mapping[str, Any]) -> bool:
    """Return whether somebody listens at a member's address: quick, also when the node is off."""
    try:
        socket.create_connection((member["ip"], member["port"]), 1.0).close()
    except OSError:
        return False
    return True


def _peer(etcd: Mapping[str, Any]) -> str:
    """Return the address by which other members know this one."""
    return f"https://{etcd['ip']}:{etcd['peer_port']}"


def _members(connection: Etcd) -> list[Member]:
    """Return the members; a cluster that takes another one in may be busy for a moment."""
    found: list[Member] = []

    def told() -> bool:
        try:
            found[:] = connection.members()
        except Unreachable:
            return False
        return True

    wait_until(told, "etcd.healthy", "etcd tells its members")
    return found


def _added(connection: Etcd, peer: str, etcd: Mapping[str, Any]) -> bool:
    """Announce this member; False while the cluster is busy with another new one.

    It has no vote at first: a voter that doesn't come up would cost a cluster of one its majority.
    """
    try:
        login(connection, etcd)
        connection.add(peer, learner=True)
    except EtcdError as error:
        # The answer to an earlier attempt was lost.
        if "Peer URLs already exists" in error.message:
            return True
        if "unhealthy cluster" in error.message or "too many learner" in error.message:
            return False
        raise
    except Unreachable:
        return False
    return True


def _gone(connection: Etcd, member: str) -> bool:
    """Take a member out; False while the cluster doesn't trust the others to go on without it."""
    try:
        connection.call("cluster/member/remove", {"ID": member})
    except EtcdError as error:
        if "unhealthy cluster" in error.message:
            return False
        # The answer to an earlier attempt was lost.
        if "member not found" not in error.message:
            raise
    return True


def _promoted(connection: Etcd, member: str, etcd: Mapping[str, Any]) -> bool:
    """Give a member its vote; False while it hasn't the leader's data yet."""
    try:
        login(connection, etcd)
        connection.promote(member)
    except EtcdError as error:
        if "in sync with leader" in error.message:
            return False
        # The answer to an earlier attempt was lost.
        if "can only promote a learner" not in error.message:
            raise
    except Unreachable:
        return False
    return True


def _restart(own: Etcd, unit: str) -> None:
    """Restart the daemon and wait until it serves again."""
    pid = __salt__["pigsty_systemd.show"](unit)[unit].get("MainPID")
    # Its start ends when a majority runs, which may take long: that is waited for under our name.
    __salt__["pigsty_systemd.act"]("restart", "--no-block", unit)

    def back() -> bool:
        now = __salt__["pigsty_systemd.show"](unit)[unit].get("MainPID")
        return now not in (pid, "0", None)

    wait_until(back, "etcd.healthy", "etcd restarts")
    wait_until(own.healthy, "etcd.healthy", "etcd is healthy after its restart")


def _release(others: list[Mapping[str, Any]], etcd: Mapping[str, Any], held: list[str]) -> None:
    """Give the lock back, through whichever member answers; its lease ends it otherwise."""
    for member in (*others, *(m for m in etcd["members"] if m["name"] == etcd["name"])):
        connection = client(member)
        try:
            login(connection, etcd)
            for lease in held:
                connection.unlock(lease)
        except (EtcdError, Unreachable, CommandExecutionError):
            continue
        return
