"""etcd: the configuration of a member, and who may do what in the store, as plain data."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pigsty.render.files import BANNER, Directory, File

CONF = "/etc/etcd/etcd.conf"
CA, CERT, KEY = "/etc/etcd/ca.crt", "/etc/etcd/server.crt", "/etc/etcd/server.key"
#: The root password that is in force; a changed one can only be set with the old one.
PASSWORD = "/etc/etcd/etcd.pass"  # noqa: S105
DROP_IN = "/etc/systemd/system/etcd.service.d/pigsty.conf"
PROFILE = "/etc/profile.d/etcdctl.sh"
DEFRAG = "/etc/systemd/system/pigsty-etcd-defrag"
DEFRAG_TIMER = "pigsty-etcd-defrag.timer"
#: The daemon's start writes here what it was started with.
LOADED = "/run/pigsty/etcd.loaded"
#: What was last seen to be right, and at which revision of etcd's users: spares reading them all.
STAMP = "/var/lib/pigsty/etcd-users.json"
LOCK = "/pigsty/etcd/restart"
#: Space of the store, in bytes: beyond it etcd turns read-only. 8 GiB is the largest it advises.
QUOTA = 8 * 2**30
#: Old revisions are dropped after this time.
RETENTION = "24h"
_INITIAL = ("initial-cluster", "initial-cluster-state")


@dataclass(frozen=True, slots=True)
class Step:
    """One change of users and roles.

    Attributes:
        what: for people; never a password.
        path: of the API.
        body: of the request; it may hold a password.
    """

    what: str
    path: str
    body: Mapping[str, Any] = field(repr=False)


def initial(etcd: Mapping[str, Any]) -> dict[str, str]:
    """Return how a member finds its cluster when all of them are new: the inventory's members."""
    peers = [f"{m['name']}=https://{m['ip']}:{m['peer_port']}" for m in etcd["members"]]
    return {"initial-cluster": ",".join(peers), "initial-cluster-state": "new"}


def joining(members: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return how a member joins a cluster that lives: its members' names and peer addresses."""
    peers = ",".join(f"{name}={peer}" for name, peer in members)
    return {"initial-cluster": peers, "initial-cluster-state": "existing"}


def kept(text: str | None) -> dict[str, str] | None:
    """Return how a member once found its cluster, from its configuration; None if it doesn't say.

    etcd reads it only without data. It is kept as it was, so that a grown cluster is no reason for
    a restart of its older members.
    """
    found: dict[str, str] = {}
    for line in (text or "").splitlines():
        key, _, value = line.partition(": ")
        if key in _INITIAL:
            try:
                found[key] = str(json.loads(value))
            except ValueError:
                return None
    return found if len(found) == len(_INITIAL) else None


def config(etcd: Mapping[str, Any], start: Mapping[str, str]) -> str:
    """Return the text of etcd's configuration file.

    Args:
        etcd: ``pigsty:etcd`` of the pillar.
        start: what :func:`initial`, :func:`joining` or :func:`kept` returned.
    """
    client, peer = (f"https://{etcd['ip']}:{etcd[key]}" for key in ("port", "peer_port"))
    tls = {"cert-file": CERT, "client-cert-auth": True, "key-file": KEY, "trusted-ca-file": CA}
    values: dict[str, Any] = {
        "name": etcd["name"],
        "data-dir": etcd["data"],
        "listen-client-urls": f"{client},https://127.0.0.1:{etcd['port']}",
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster-token": etcd["cluster"],
        **start,
        "heartbeat-interval": etcd["heartbeat"],
        "election-timeout": etcd["election"],
        "quota-backend-bytes": QUOTA,
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": RETENTION,
        # Patroni speaks HTTP; etcd 3.4 leaves that out unless its file asks for it.
        "enable-grpc-gateway": True,
        "client-transport-security": tls,
        "peer-transport-security": tls,
    }
    # JSON is YAML: nothing in a name can break out of its quotes.
    return "\n".join([BANNER, *(f"{key}: {json.dumps(v)}" for key, v in values.items())]) + "\n"


def drop_in() -> str:
    """Return the drop-in of the packaged unit.

    Until the configuration is there the unit does not start: the package's own start, right after
    its installation, would open a store without TLS.
    """
    lines = [
        BANNER,
        "[Unit]",
        f"ConditionPathExists={CONF}",
        "[Service]",
        # What runs is known by what it was started with, whoever started it.
        f"ExecStartPre=+/bin/sh -c 'mkdir -p /run/pigsty; cat {CONF} {CA} {DROP_IN} | sha256sum"
        f' | cut -d" " -f1 > {LOADED}\'',
        "ExecStart=",
        f"ExecStart=/usr/bin/etcd --config-file {CONF}",
        # A member is ready once a majority runs, however long its peers take to boot.
        "TimeoutStartSec=infinity",
        "Restart=on-failure",
        "RestartSec=2",
        "OOMScoreAdjust=-1000",
    ]
    return "\n".join(lines) + "\n"


def fingerprint(configuration: str, ca: str) -> str:
    """Return what :data:`LOADED` holds when a member was started with these and our drop-in."""
    return hashlib.sha256(f"{configuration}{ca}{drop_in()}".encode()).hexdigest()


def files(etcd: Mapping[str, Any], start: Mapping[str, str]) -> list[File | Directory]:
    """Return the files of a member, without the drop-in, which must be there before the package."""
    endpoints = ",".join(f"https://{m['ip']}:{m['port']}" for m in etcd["members"])
    user = etcd["platform"]["user"]
    return [
        File(CONF, config(etcd, start)),
        Directory(etcd["data"], mode="0700", user=user, group=user),
        File(PROFILE, _profile(endpoints)),
        File(f"{DEFRAG}.service", _defrag(etcd, endpoints)),
        File(f"{DEFRAG}.timer", _timer(etcd)),
    ]


def remains(configuration: str | None) -> tuple[str, list[File]]:
    """Return the data directory of a member that goes, "" for none, and its files as gone.

    Args:
        configuration: text of its configuration file, None when it is gone already.
    """
    data = ""
    for line in (configuration or "").splitlines():
        key, found, value = line.partition(": ")
        if found and key == "data-dir":
            data = str(json.loads(value))
    units = (f"{DEFRAG}.service", f"{DEFRAG}.timer", DROP_IN)
    paths = (PROFILE, *units, PASSWORD, STAMP, CERT, KEY, CA, CONF)
    return data, [File(path, None, secret=True) for path in paths]


def _profile(endpoints: str) -> str:
    """Return what operators' shells know: where etcd is, and no password."""
    names = {"API": "3", "ENDPOINTS": endpoints, "CACERT": CA, "CERT": CERT, "KEY": KEY}
    return "\n".join([BANNER, *(f"export ETCDCTL_{k}={v}" for k, v in names.items())]) + "\n"


def _defrag(etcd: Mapping[str, Any], endpoints: str) -> str:
    """Return the unit that gives back the space of what was compacted."""
    ctl = f"/usr/bin/etcdctl --cacert={CA} --cert={CERT} --key={KEY}"
    own = f"https://127.0.0.1:{etcd['port']}"
    lines = [
        BANNER,
        "[Unit]",
        "Description=Defragment this member of etcd",
        "After=etcd.service",
        "[Service]",
        "Type=oneshot",
        "Environment=ETCDCTL_API=3",
        # A member doesn't answer while it works: only when every other one does.
        f"ExecCondition={ctl} --endpoints={endpoints} endpoint health",
        # The password is in the environment of one process of root, and in no command line.
        f'ExecStart=/bin/sh -c \'ETCDCTL_USER=root ETCDCTL_PASSWORD="$$(cat {PASSWORD})"'
        f" exec {ctl} --endpoints={own} --command-timeout=60s defrag'",
    ]
    return "\n".join(lines) + "\n"


def _timer(etcd: Mapping[str, Any]) -> str:
    """Return the timer: every night, ten minutes after the member before."""
    place = [member["name"] for member in etcd["members"]].index(etcd["name"])
    hour, minute = divmod(place * 10 % (6 * 60), 60)
    lines = [
        BANNER,
        "[Unit]",
        "Description=Defragment this member of etcd every night, one member after the other",
        "[Timer]",
        f"OnCalendar=*-*-* {2 + hour:02}:{minute:02}:00",
        "AccuracySec=1s",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def range_end(prefix: str) -> str:
    """Return the end of a prefix's range: the prefix with its last character one higher."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def permission(prefix: str, right: str = "READWRITE") -> tuple[str, str, str]:
    """Return a permission on all of a prefix."""
    return (right, prefix, range_end(prefix))


def digest(root: str, users: Sequence[Mapping[str, str]]) -> str:
    """Return what tells whether passwords and prefixes are those that were set; no way back."""
    text = json.dumps(sorted((u["name"], u["password"], u["prefix"], u["right"]) for u in users))
    return hmac.new(root.encode(), text.encode(), hashlib.sha256).hexdigest()


def leftovers(
    wanted: Sequence[Mapping[str, str]],
    roles: Mapping[str, Sequence[tuple[str, str, str]]],
) -> dict[str, str]:
    """Return the roles of clusters that the inventory no longer has, and the prefix of each.

    A role is one of ours when it may do just this: everything below a path that ends in its own
    name. Roles that an operator made for other purposes stay.
    """
    names = {user["name"] for user in wanted}
    return {
        name: perms[0][1]
        for name, perms in sorted(roles.items())
        if name not in names
        and name != "root"
        and len(perms) == 1
        and perms[0][1].endswith(f"/{name}/")
        and perms[0] == permission(perms[0][1])
    }


def steps(
    users: Sequence[Mapping[str, str]],
    found: Mapping[str, Sequence[str]],
    roles: Mapping[str, Sequence[tuple[str, str, str]]],
    stale: Sequence[str] = (),
    gone: Sequence[str] = (),
) -> list[Step]:
    """Return what it takes to have just the right users and roles of PostgreSQL clusters.

    Args:
        users: the wanted ones: name (also of the role), password, prefix and right.
        found: the roles of the users that there are.
        roles: the permissions of the roles that there are.
        stale: users that are there with another password.
        gone: roles to be removed, with their users.
    """
    todo: list[Step] = []
    for user in users:
        name, right = user["name"], permission(user["prefix"], user["right"])
        if name not in roles:
            todo.append(Step(f"role {name}: added", "auth/role/add", {"name": name}))
        have = list(roles.get(name, ()))
        todo += [_revoke(name, perm) for perm in have if perm != right]
        if right not in have:
            todo.append(_grant(name, right))
        if name not in found:
            body = {"name": name, "password": user["password"]}
            todo.append(Step(f"user {name}: added", "auth/user/add", body))
        elif name in stale:
            body = {"name": name, "password": user["password"]}
            todo.append(Step(f"user {name}: password", "auth/user/changepw", body))
        for role in found.get(name, ()):
            if role != name:
                body = {"name": name, "role": role}
                todo.append(Step(f"user {name}: not {role}", "auth/user/revoke", body))
        if name not in found.get(name, ()):
            body = {"user": name, "role": name}
            todo.append(Step(f"user {name}: is {name}", "auth/user/grant", body))
    for name in gone:
        if name in found:
            todo.append(Step(f"user {name}: removed", "auth/user/delete", {"name": name}))
        todo.append(Step(f"role {name}: removed", "auth/role/delete", {"role": name}))
    return todo


def enabling(password: str) -> list[Step]:
    """Return the last steps of a new store: from then on nobody is let in without a name."""
    return [
        Step("user root: added", "auth/user/add", {"name": "root", "password": password}),
        Step("role root: added", "auth/role/add", {"name": "root"}),
        Step("user root: is root", "auth/user/grant", {"user": "root", "role": "root"}),
        Step("users: enabled", "auth/enable", {}),
    ]


def _grant(role: str, right: tuple[str, str, str]) -> Step:
    kind, key, end = right
    perm = {"permType": kind, "key": _b64(key), "range_end": _b64(end)}
    body = {"name": role, "perm": perm}
    return Step(f"role {role}: {key} granted", "auth/role/grant", body)


def _revoke(role: str, right: tuple[str, str, str]) -> Step:
    _kind, key, end = right
    body = {"role": role, "key": _b64(key), "range_end": _b64(end)}
    return Step(f"role {role}: {key} revoked", "auth/role/revoke", body)


def _b64(text: str) -> str:
    return b64encode(text.encode()).decode()
