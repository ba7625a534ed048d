"""Patroni's configuration, and the dynamic configuration that a new cluster starts with.

:func:`build` makes it from the pillar's part for Patroni and the facts of the machine. They are
read on the member when the state runs, not taken from grains on the master: at the first highstate
of a new node its custom grains don't exist yet, and the size of the data disk is no grain at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pigsty.errors import PillarError
from pigsty.render import libraries, pgbackrest
from pigsty.render.tuning import Machine, parameters, template_of

#: Where Patroni finds the watchdog.
WATCHDOG = "/dev/watchdog"

#: Bytes of WAL that a candidate may lack in synchronous mode: Patroni's own default.
SYNCHRONOUS_LAG = 1048576

#: Settings that Patroni takes from the DCS only, because all members must agree on them.
CLUSTER_WIDE = frozenset(
    {
        "max_connections",
        "max_locks_per_transaction",
        "max_worker_processes",
        "max_prepared_transactions",
        "max_wal_senders",
        "max_replication_slots",
        "track_commit_timestamp",
        "wal_keep_segments",
        "wal_keep_size",
        "wal_level",
        "wal_log_hints",
    }
)


@dataclass(frozen=True, slots=True)
class Timing:
    """A recovery-time preset of ``pg_rto_plan``.

    Attributes:
        ttl: seconds until a silent leader's key expires.
        loop_wait: seconds between two looks of Patroni.
        retry_timeout: seconds for which the DCS or PostgreSQL may fail to answer.
        start_timeout: seconds that a crashed leader gets to recover before it is given up.
        margin: seconds before ``ttl`` at which the watchdog resets the machine.
        inter: HAProxy's time between checks.
        fastinter: the same while a server changes its state.
        downinter: the same while a server is down.
        rise: good checks until a server is up.
        fall: bad checks until it is down.
    """

    ttl: int
    loop_wait: int
    retry_timeout: int
    start_timeout: int
    margin: int
    inter: str
    fastinter: str
    downinter: str
    rise: int
    fall: int


def timing(params: Mapping[str, Any]) -> Timing:
    """Return the preset that ``pg_rto`` names in ``pg_rto_plan``; an unknown name means ``norm``.

    Raises:
        PillarError: the plan isn't a list of ten values.
    """
    plan = params["pg_rto_plan"]
    name = str(params["pg_rto"])
    values = plan.get(name, plan.get("norm"))
    if not isinstance(values, list) or len(values) != 10:
        raise PillarError(f"pg_rto_plan has no list of ten values for {name!r}")
    whole = [int(value) for value in values[:5]]
    return Timing(*whole, *map(str, values[5:8]), *map(int, values[8:]))  # type: ignore[arg-type]


def watchdog_mode(params: Mapping[str, Any]) -> str:
    """Return the wanted watchdog mode: ``crit`` clusters use one where there is one."""
    mode = str(params["patroni_watchdog_mode"])
    if mode == "off" and template_of(str(params["pg_conf"])) == "crit":
        return "automatic"
    return mode


def without(spec: Mapping[str, Any], refused: Iterable[str]) -> dict[str, Any]:
    """Return a member's pillar without some of its own settings.

    Args:
        spec: the pillar's ``pigsty:pgsql``.
        refused: names of settings that PostgreSQL would not take.
    """
    names = set(refused)
    params = spec["params"]
    own = {n: v for n, v in params["pg_parameters"].items() if n not in names}
    return {**spec, "params": {**params, "pg_parameters": own}}


def build(
    spec: Mapping[str, Any], machine: Machine, *, watchdog: bool, lacking: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the configuration of one member.

    Args:
        spec: the pillar's ``pigsty:pgsql``.
        machine: facts of the member; they bear on the member that bootstraps only.
        watchdog: whether the machine has a watchdog device.
        lacking: declared libraries that this member can't load.

    Returns:
        What :func:`text` writes. Only the declared primary's has a ``bootstrap`` section, so nobody
        else can ever initialize the cluster; Patroni ignores the section once the cluster exists.

    Raises:
        PillarError: a parameter has no meaning for Patroni.
    """
    params = spec["params"]
    patroni = spec["patroni"]
    config: dict[str, Any] = {
        "scope": patroni["scope"],
        "namespace": patroni["namespace"],
        "name": spec["instance"],
        "log": {
            "dir": params["patroni_log_dir"],
            "file_num": 4,
            "file_size": 32 * 1024 * 1024,
            "mode": 0o640,
        },
        "restapi": _restapi(spec),
        "ctl": _ctl(spec),
        **_store(spec),
        "tags": {**patroni["tags"], **_libraries(spec, lacking)},
        "watchdog": _watchdog(params, watchdog),
        "postgresql": _postgresql(spec),
    }
    if spec["citus"]:
        config["citus"] = {name: spec["citus"][name] for name in ("group", "database")}
    if spec["role"] == "primary":
        # A new cluster begins without a library that its first member can't load.
        able = [name for name in libraries.effective(params) if name not in lacking]
        begins = {**spec, "params": {**params, "pg_libs": ", ".join(able)}}
        config["bootstrap"] = {"dcs": dynamic(begins, machine), "initdb": _initdb(params)}
    return config


def _store(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the members agree: etcd, or Consul."""
    patroni = spec["patroni"]
    consul = patroni["consul"]
    if consul is None:
        return {
            "etcd3": {
                "hosts": patroni["etcd"],
                "protocol": "https",
                "cacert": f"{spec['certificates']}/ca.crt",
                "cert": f"{spec['certificates']}/server.crt",
                "key": f"{spec['certificates']}/server.key",
                "username": patroni["etcd_username"],
                "password": patroni["etcd_password"],
            }
        }
    found = {"url": consul["url"], "register_service": False}
    if consul["token"]:
        found["token"] = consul["token"]
    if consul["ca"]:
        found |= {"cacert": consul["ca"], "verify": True}
    return {"consul": found}


def _libraries(spec: Mapping[str, Any], lacking: Sequence[str]) -> dict[str, str]:
    """Return the tag by which the others know what this member can load."""
    said = libraries.tag(libraries.effective(spec["params"]), lacking)
    return {libraries.TAG: said} if said else {}


def settings(spec: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """Return every setting that a member's PostgreSQL is to run with, the member's own winning."""
    return {**dynamic(spec, machine)["postgresql"]["parameters"], **local(spec)}


def text(config: Mapping[str, Any]) -> str:
    """Return a configuration as the text of its file."""
    body = yaml.safe_dump(dict(config), sort_keys=False, width=100)
    return f"# Managed by Pigsty: change the inventory instead.\n{body}"


def differences(old: str, new: str) -> dict[str, dict[str, Any]]:
    """Return how two texts of a configuration differ in what may be shown: settings and tags.

    Args:
        old: text of the file as it is; "" or what is no configuration counts as empty.
        new: text of the file as it shall be.
    """
    before, after = _shown(old), _shown(new)
    return {
        path: {"old": before.get(path), "new": after.get(path)}
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    }


def _shown(text: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    if not isinstance(config, dict):
        return {}
    settings = (config.get("postgresql") or {}).get("parameters") or {}
    found = {f"postgresql.parameters.{name}": value for name, value in settings.items()}
    return found | {f"tags.{name}": value for name, value in (config.get("tags") or {}).items()}


def dynamic(spec: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """Return the dynamic configuration of a new cluster, which lives in the DCS.

    Args:
        spec: the pillar's ``pigsty:pgsql``.
        machine: facts of the member that bootstraps.
    """
    params = spec["params"]
    plan = timing(params)
    loss = int(params["pg_rpo"])
    settings = parameters(machine, {**params, "pg_cert_dir": spec["certificates"]})
    own = params["pg_parameters"]
    settings |= {name: own[name] for name in sorted(CLUSTER_WIDE & set(own))}
    config: dict[str, Any] = {
        "ttl": plan.ttl,
        "loop_wait": plan.loop_wait,
        "retry_timeout": plan.retry_timeout,
        "primary_start_timeout": plan.start_timeout,
        "primary_stop_timeout": 30,
        # With a bound of 0, WAL that holds no commit yet would forbid every failover. In
        # synchronous mode the candidates have all commits anyway.
        "maximum_lag_on_failover": loss or SYNCHRONOUS_LAG,
        "maximum_lag_on_syncnode": -1,
        **_synchronous(spec),
        "failsafe_mode": True,
        "postgresql": {"use_slots": True, "use_pg_rewind": True, "parameters": settings},
    }
    if params["patroni_mode"] == "pause":
        config["pause"] = True
    if spec["patroni"]["standby_of"]:
        config["standby_cluster"] = spec["patroni"]["standby_of"]
    return config


def synchronous_mode(params: Mapping[str, Any]) -> bool | str:
    """Return Patroni's ``synchronous_mode``.

    ``pg_sync_mode`` says it; ``auto`` is on where nothing may be lost: ``pg_rpo: 0``, or the
    template ``crit``.
    """
    mode = str(params["pg_sync_mode"])
    if mode == "auto":
        return template_of(str(params["pg_conf"])) == "crit" or int(params["pg_rpo"]) == 0
    return mode if mode == "quorum" else mode == "on"


def _synchronous(spec: Mapping[str, Any]) -> dict[str, Any]:
    params = spec["params"]
    mode = synchronous_mode(params)
    # Strict mode lets nobody commit without a second copy: where no second member may hold one, it
    # would stop the cluster at its first write.
    copies = sum(not peer["aside"] for peer in spec["patroni"]["peers"])
    critical = template_of(str(params["pg_conf"])) == "crit"
    return {
        "synchronous_mode": mode,
        "synchronous_mode_strict": bool(mode) and critical and copies > 1,
        "synchronous_node_count": int(params["pg_sync_nodes"]),
    }


def _restapi(spec: Mapping[str, Any]) -> dict[str, Any]:
    params, patroni = spec["params"], spec["patroni"]
    address = f"{spec['ip']}:{params['patroni_port']}"
    config: dict[str, Any] = {
        "listen": address,
        "connect_address": address,
        "authentication": {
            "username": params["patroni_username"],
            "password": patroni["password"],
        },
        # Who may call what changes something; anybody may look.
        "allowlist": patroni["allowed"],
        "allowlist_include_members": True,
    }
    if params["patroni_ssl_enabled"]:
        config |= {
            "certfile": f"{spec['certificates']}/server.crt",
            "keyfile": f"{spec['certificates']}/server.key",
            "cafile": f"{spec['certificates']}/ca.crt",
            "verify_client": "none",
        }
    return config


def _ctl(spec: Mapping[str, Any]) -> dict[str, Any]:
    if not spec["params"]["patroni_ssl_enabled"]:
        return {}
    return {"insecure": False, "cacert": f"{spec['certificates']}/ca.crt"}


def _watchdog(params: Mapping[str, Any], present: bool) -> dict[str, Any]:
    mode = watchdog_mode(params)
    # `required` without a device would keep the member from ever leading: that is what the word
    # asks for, so it stays; `automatic` without one means no watchdog, which is then written down.
    if mode == "off" or (mode == "automatic" and not present):
        return {"mode": "off"}
    return {"mode": mode, "device": WATCHDOG, "safety_margin": timing(params).margin}


def _postgresql(spec: Mapping[str, Any]) -> dict[str, Any]:
    params, patroni = spec["params"], spec["patroni"]
    superuser = {"username": params["pg_dbsu"]}
    if patroni["superuser_password"]:
        superuser["password"] = patroni["superuser_password"]
    replication = {
        "username": params["pg_replication_username"],
        "password": patroni["replication_password"],
    }
    config = {
        "listen": f"{','.join(patroni['listen'])}:{params['pg_port']}",
        "connect_address": f"{spec['ip']}:{params['pg_port']}",
        "use_unix_socket": True,
        "use_unix_socket_repl": True,
        "data_dir": params["pg_data"],
        "bin_dir": params["pg_bin_dir"],
        "pgpass": patroni["pgpass"],
        "authentication": {
            "superuser": superuser,
            "replication": replication,
            # The replication user also rewinds: the rules let it into the database `postgres`.
            "rewind": dict(replication),
        },
        "parameters": local(spec),
        "remove_data_directory_on_rewind_failure": True,
        "remove_data_directory_on_diverged_timelines": False,
        "basebackup": [{"max-rate": "1000M"}, {"checkpoint": "fast"}],
        **_cloning(spec),
    }
    if patroni["delay"]:
        config["recovery_conf"] = {"recovery_min_apply_delay": patroni["delay"]}
    return config


def local(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a member's own patroni.yml, which take precedence over the DCS."""
    params, own = spec["params"], spec["params"]["pg_parameters"]
    # A file outside the data directory: it is there before the first start, a base backup doesn't
    # carry it away, and Patroni leaves it alone. Its lines depend on the member's live role.
    return {
        "hba_file": spec["patroni"]["hba_file"],
        "unix_socket_directories": params["pg_localhost"],
        **_archiving(spec),
        **{name: own[name] for name in sorted(set(own) - CLUSTER_WIDE)},
    }


def _archiving(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the command that archives WAL; a reload puts it in force, also in older clusters."""
    if spec["backup"] is None:
        return {}
    return {"archive_command": pgbackrest.archive_command(spec["backup"]["stanza"])}


def _cloning(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a replica gets its data, and the WAL that its leader no longer has.

    Where all members reach the repository it comes from the last backup, which spares the leader
    and takes only what differs; without a backup it is copied from the leader after all.
    """
    backup = spec["backup"]
    if backup is None or pgbackrest.local(backup["options"]):
        return {"create_replica_methods": ["basebackup"]}
    stanza = backup["stanza"]
    return {
        "create_replica_methods": ["pgbackrest", "basebackup"],
        "pgbackrest": {
            "command": pgbackrest.clone_command(stanza),
            "keep_data": True,
            "no_params": True,
        },
        "recovery_conf": {
            "restore_command": pgbackrest.restore_command(spec["directories"]["home"])
        },
    }


def _initdb(params: Mapping[str, Any]) -> list[Any]:
    locale = str(params["pg_locale"])
    options: list[Any] = [
        {"encoding": params["pg_encoding"]},
        {"locale": locale},
        {"lc-collate": params["pg_lc_collate"]},
        {"lc-ctype": params["pg_lc_ctype"]},
        # Nobody uses the pg_hba.conf that initdb writes; should anybody, it must not say `trust`.
        {"auth-local": "peer"},
        {"auth-host": "scram-sha-256"},
    ]
    if int(params["pg_version"]) >= 17 and locale in _BUILTIN_LOCALES:
        # Sorts by code point and never changes with the C library's version.
        options += [{"locale-provider": "builtin"}, {"builtin-locale": _BUILTIN_LOCALES[locale]}]
    if params["pg_checksum"] or template_of(str(params["pg_conf"])) == "crit":
        options.append("data-checksums")
    return options


#: Locales that PostgreSQL 17 brings itself, by the names that inventories use.
_BUILTIN_LOCALES: Mapping[str, str] = {
    "C": "C",
    "C.UTF-8": "C.UTF-8",
    "C.UTF8": "C.UTF-8",
    "C.utf8": "C.UTF-8",
}
