"""Patroni's dynamic configuration, which lives in the DCS: what the inventory changes in it.

Three rules keep the inventory the truth without taking what isn't its own:

* Only what our templates know is managed: :data:`MANAGED` keys, and the settings that a template
  with any choice of parameters writes (:func:`known`), plus those that all members must agree on.
  Everything else in the DCS belongs to whoever put it there.
* A managed setting that is not wanted any more is removed; no memory of earlier runs is needed.
* What is computed from a machine is decided by the declared primary's alone. Were it the leader's,
  a failover to a machine of another size would change settings back and forth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pigsty.render.patroni import CLUSTER_WIDE, dynamic
from pigsty.render.tuning import GIB, TEMPLATES, Machine, parameters

#: Managed keys beside PostgreSQL's settings, and what Patroni does without each. The mode of
#: maintenance, slots and their like are states of the cluster, not settings. So is whether it is a
#: standby cluster, but not whom it follows while it is one: see :func:`estranged`.
MANAGED: Mapping[str, Any] = {
    "ttl": 30,
    "loop_wait": 10,
    "retry_timeout": 10,
    "primary_start_timeout": 300,
    "primary_stop_timeout": 0,
    "maximum_lag_on_failover": 1048576,
    "maximum_lag_on_syncnode": -1,
    "synchronous_mode": False,
    "synchronous_mode_strict": False,
    "synchronous_node_count": 1,
    "failsafe_mode": False,
    "postgresql.use_slots": True,
    "postgresql.use_pg_rewind": False,
}
SETTINGS = "postgresql.parameters."
STANDBY = "standby_cluster."

#: Settings of our templates that PostgreSQL reads at its start only.
NEED_RESTART = frozenset(
    {
        "archive_mode",
        "autovacuum_freeze_max_age",
        "autovacuum_max_workers",
        "cron.database_name",
        "huge_pages",
        "io_method",
        "logging_collector",
        "max_connections",
        "max_locks_per_transaction",
        "max_logical_replication_workers",
        "max_prepared_transactions",
        "max_replication_slots",
        "max_wal_senders",
        "max_worker_processes",
        "pg_stat_statements.max",
        "shared_buffers",
        "shared_preload_libraries",
        "superuser_reserved_connections",
        "timescaledb.max_background_workers",
        "track_activity_query_size",
        "track_commit_timestamp",
        "wal_buffers",
        "wal_level",
        "wal_log_hints",
    }
)

#: A machine's memory differs by as much from boot to boot: no reason to restart PostgreSQL.
TOLERANCE = 0.02
#: What the inventory says about a standby cluster's upstream; other keys are somebody else's.
FOLLOWED = ("host", "port", "recovery_min_apply_delay")
_SMALL, _LARGE = Machine(1, 1024, GIB), Machine(128, 1024**2, 10_000 * GIB)
_QUANTITY = re.compile(r"(\d+)(kB|MB|GB|TB)?")
_UNITS = {None: 1, "kB": 1, "MB": 1024, "GB": 1024**2, "TB": 1024**3}
_SOME: Mapping[str, Any] = {
    "pg_max_conn": "auto",
    "pg_shared_buffer_ratio": 0.25,
    "pg_default_service_dest": "pgbouncer",
    "pg_libs": "timescaledb, citus, pg_cron, pg_stat_statements, auto_explain",
    "pg_storage_type": "SSD",
    "pg_io_method": "worker",
    "pg_pwd_enc": "scram-sha-256",
    "pg_log_dir": "/pg/log",
    "pg_primary_db": "postgres",
    "pg_cert_dir": "/pg/cert",
    "pg_version": 18,
}


@cache
def known() -> frozenset[str]:
    """Return the names of all settings that any template writes into the DCS."""
    found = set(CLUSTER_WIDE)
    for template in TEMPLATES:
        found |= set(parameters(_SMALL, {**_SOME, "pg_conf": template}))
    return frozenset(found)


def computed(spec: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of settings that depend on the machine, with the parameters of a member.

    Args:
        spec: the pillar's ``pigsty:pgsql``.
    """
    small = dynamic(spec, _SMALL)["postgresql"]["parameters"]
    large = dynamic(spec, _LARGE)["postgresql"]["parameters"]
    return frozenset(name for name in large if small.get(name) != large[name])


def changes(
    spec: Mapping[str, Any], machine: Machine, live: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return what has to change in the DCS: path to ``old`` and ``new``; None: not there.

    Args:
        spec: the pillar's ``pigsty:pgsql`` of the member that looks.
        machine: its machine.
        live: the dynamic configuration as it is.
    """
    wanted = _flat(dynamic(spec, machine))
    present = _flat(live)
    others = frozenset() if spec["role"] == "primary" else computed(spec)
    found: dict[str, dict[str, Any]] = {}
    both = bool(live.get("standby_cluster")) and bool(spec["patroni"]["standby_of"])
    managed = {*MANAGED, *(SETTINGS + name for name in known())}
    managed |= {path for path in wanted if path.startswith(SETTINGS)}
    if both:
        managed |= {f"{STANDBY}{key}" for key in FOLLOWED}
    for path in sorted(managed):
        name = path.removeprefix(SETTINGS)
        if path.startswith(SETTINGS) and name in others:
            continue
        old, new = present.get(path), wanted.get(path)
        if not _same(path, old, new, tolerant=path.startswith(SETTINGS)):
            found[path] = {"old": old, "new": new}
    return found


def estranged(spec: Mapping[str, Any], live: Mapping[str, Any]) -> str:
    """Return how a cluster differs from the inventory in what no apply ever changes; "" if not.

    Were a promoted cluster made a standby again because the inventory still says so, everything
    that was written since would be lost; were a standby cluster promoted because a line was
    removed, there would be two primaries.

    Args:
        spec: the pillar's ``pigsty:pgsql`` of the member that looks.
        live: the dynamic configuration as it is.
    """
    cluster, declared = spec["cluster"], spec["patroni"]["standby_of"]
    follows = live.get("standby_cluster") or {}
    if declared and not follows:
        return (
            f"{cluster} takes writes of its own, though pg_upstream says that it follows "
            f"{declared['host']}: remove pg_upstream if it was promoted for good, or make it "
            f"follow again, which loses what was written since: pigsty pgsql demote {cluster}"
        )
    if follows and not declared:
        return (
            f"{cluster} follows {follows.get('host')}, though the inventory has no pg_upstream: "
            f"pigsty pgsql promote {cluster} makes it take writes"
        )
    return ""


def patch(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the body of the request that makes some changes; a key with None is removed."""
    body: dict[str, Any] = {}
    for path, change in found.items():
        place = body
        parents, name = _split(path)
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = change["new"]
    return body


def restarts(found: Mapping[str, Any]) -> list[str]:
    """Return the settings among some changes that PostgreSQL takes at its next start only."""
    names = (path.removeprefix(SETTINGS) for path in found if path.startswith(SETTINGS))
    return sorted(name for name in names if name in NEED_RESTART)


def _split(path: str) -> tuple[list[str], str]:
    # The name of a setting may hold a dot itself.
    if path.startswith(SETTINGS):
        return ["postgresql", "parameters"], path.removeprefix(SETTINGS)
    *parents, name = path.split(".")
    return parents, name


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dynamic configuration by path; a null is as good as nothing."""
    postgresql = config.get("postgresql") or {}
    found = {k: v for k, v in config.items() if k not in ("postgresql", "standby_cluster")}
    found |= {f"{STANDBY}{k}": v for k, v in (config.get("standby_cluster") or {}).items()}
    found |= {f"postgresql.{k}": v for k, v in postgresql.items() if k != "parameters"}
    settings = postgresql.get("parameters") or {}
    found |= {f"{SETTINGS}{name}": value for name, value in settings.items()}
    return {path: value for path, value in found.items() if value is not None}


def _same(path: str, old: Any, new: Any, *, tolerant: bool) -> bool:
    default = MANAGED.get(path)
    one, two = (_plain(default if value is None else value) for value in (old, new))
    if one == two:
        return True
    return tolerant and one is not None and two is not None and _close(one, two)


def _plain(value: Any) -> str | None:
    """Return a value as PostgreSQL writes it: people put booleans and numbers in several ways."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "on" if value else "off"
    return {"true": "on", "false": "off"}.get(str(value).lower(), str(value))


def _close(one: str, two: str) -> bool:
    """Whether two amounts of memory are the same but for what a boot may make of them."""
    first, second = _QUANTITY.fullmatch(one), _QUANTITY.fullmatch(two)
    if not first or not second or not (first[2] and second[2]):
        return False
    low, high = sorted(int(match[1]) * _UNITS[match[2]] for match in (first, second))
    return high - low <= high * TOLERANCE
