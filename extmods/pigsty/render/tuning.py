"""Settings of PostgreSQL computed from the machine: the templates oltp, olap, crit and tiny.

The formulas are those of Pigsty 4.5: memory by ``pg_shared_buffer_ratio``, workers by CPU count,
WAL by the size of the data disk. All of it is a pure function of :class:`Machine` and the
parameters, so the same node always gets the same settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from pigsty.errors import PillarError

Template = Literal["oltp", "olap", "crit", "tiny"]
TEMPLATES: tuple[str, ...] = get_args(Template)

#: ``pg_max_conn`` below the first is taken as ``auto``; Patroni ignores a value below the second.
FEWEST_CONNECTIONS, PATRONI_CONNECTIONS = 20, 25
GIB = 1024**3
#: PostgreSQL's largest ``maintenance_work_mem`` in MiB.
MOST_MAINTENANCE = 2**31 // 1024 - 1
#: A twentieth of the disk, in whole GiB, is the unit for everything that WAL may take.
DISK_SHARES = 20
DISK_UNITS = (1, 100)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the templates need to know of a machine.

    Attributes:
        cpu: number of CPUs.
        memory: MiB of RAM.
        disk: bytes of the file system that holds the data.
    """

    cpu: int
    memory: int
    disk: int


def template_of(pg_conf: str) -> Template:
    """Return the template that ``pg_conf`` names, with or without ``.yml``.

    Raises:
        PillarError: there is no such template.
    """
    name = pg_conf.removesuffix(".yml")
    if name not in TEMPLATES:
        known = ", ".join(f"{template}.yml" for template in TEMPLATES)
        raise PillarError(f"pg_conf {pg_conf!r} is no template; there are {known}")
    return cast(Template, name)


def parameters(machine: Machine, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a new cluster, by name.

    Args:
        machine: the machine of the member that bootstraps.
        params: the PGSQL parameters that bear on it: ``pg_conf``, ``pg_version``, ``pg_max_conn``,
            ``pg_shared_buffer_ratio``, ``pg_default_service_dest``, ``pg_libs``,
            ``pg_storage_type``, ``pg_io_method``, ``pg_pwd_enc``, ``pg_log_dir``,
            ``pg_primary_db``; and ``pg_cert_dir``, where the certificates stand.

    Raises:
        PillarError: ``pg_conf`` names no template.
    """
    template = template_of(str(params["pg_conf"]))
    version = int(params["pg_version"])
    settings = _common(params)
    settings |= _memory(template, machine, params)
    settings |= _workers(template, machine, version, params)
    settings |= _wal(template, machine)
    settings |= _planner(template, params)
    settings |= _logging(template, params)
    settings |= _libraries(template, settings, params)
    settings |= _versioned(template, version)
    return dict(sorted(settings.items()))


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def _has_distributed(params: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether Citus is preloaded, and whether Citus or TimescaleDB is."""
    libraries = str(params["pg_libs"])
    return "citus" in libraries, "citus" in libraries or "timescaledb" in libraries


def _connections(template: Template, params: Mapping[str, Any]) -> int:
    wanted = params["pg_max_conn"]
    if str(wanted).isdigit() and int(wanted) >= FEWEST_CONNECTIONS:
        return max(int(wanted), PATRONI_CONNECTIONS)
    if template == "tiny":
        return 250
    # Behind PgBouncer few server connections carry many clients.
    pooled = params["pg_default_service_dest"] == "pgbouncer"
    return 500 if pooled or template == "olap" else 1000


def _memory(template: Template, machine: Machine, params: Mapping[str, Any]) -> dict[str, Any]:
    shared = math.ceil(machine.memory * float(params["pg_shared_buffer_ratio"]))
    connections = _connections(template, params)
    low, high = {"olap": (64, 8192), "tiny": (16, 256)}.get(template, (64, 1024))
    citus, distributed = _has_distributed(params)
    if template == "olap":
        locks = (4 if distributed else 2) * connections
    else:
        locks = (2 if distributed else 1) * connections
    maintenance = math.ceil(shared * (0.5 if template == "olap" else 0.25))
    return {
        "max_connections": connections,
        "superuser_reserved_connections": 10,
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{machine.memory - shared}MB",
        "maintenance_work_mem": f"{min(maintenance, MOST_MAINTENANCE)}MB",
        "work_mem": f"{_clamp(shared // connections, low, high)}MB",
        "hash_mem_multiplier": 8.0,
        "huge_pages": "try",
        "max_prepared_transactions": connections if citus else 0,
        "max_locks_per_transaction": locks,
    }


def _workers(
    template: Template, machine: Machine, version: int, params: Mapping[str, Any]
) -> dict[str, Any]:
    cpu = machine.cpu
    spare, least = {"olap": (12, 20), "tiny": (4, 12)}.get(template, (8, 16))
    if template == "tiny":
        parallel = max(math.floor(cpu * 0.5), 1)
        maintenance = max(math.floor(cpu * 0.33), 1)
    else:
        parallel = max(math.ceil(cpu * (0.8 if template == "olap" else 0.5)), 2)
        maintenance = max(math.ceil(cpu * 0.33), 2)
    gather = {
        "oltp": _clamp(math.floor(cpu * 0.2), 2, 8),
        "olap": max(math.floor(cpu * 0.5), 2),
    }.get(template, 0)
    settings: dict[str, Any] = {
        "max_worker_processes": max(cpu + spare, least) + 8,
        "max_parallel_workers": parallel,
        "max_parallel_workers_per_gather": gather,
        "max_parallel_maintenance_workers": maintenance,
        "max_logical_replication_workers": 8,
        "max_sync_workers_per_subscription": 6,
        "autovacuum_max_workers": 2 if template == "tiny" else 3,
    }
    if version >= 18:
        share, high = {"olap": (0.5, 32), "crit": (0.25, 8)}.get(template, (0.25, 16))
        workers = 3 if template == "tiny" else _clamp(math.ceil(cpu * share), 4, high)
        # `auto` is io_uring where the kernel surely has it, and our systems do.
        method = str(params["pg_io_method"]).replace("auto", "io_uring")
        settings |= {"io_method": method, "io_workers": workers}
    return settings


def _wal(template: Template, machine: Machine) -> dict[str, Any]:
    unit = _clamp(math.ceil(machine.disk / (DISK_SHARES * GIB)), *DISK_UNITS)
    return {
        "wal_level": "logical",
        "wal_log_hints": "on",
        "wal_buffers": "16MB",
        "wal_writer_delay": "10ms" if template == "crit" else "20ms",
        "wal_writer_flush_after": 0 if template == "crit" else "1MB",
        "commit_delay": 20,
        "commit_siblings": 10,
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": 0.95,
        "min_wal_size": f"{unit}GB",
        "max_wal_size": f"{unit * 4}GB",
        "max_slot_wal_keep_size": f"{unit * 6}GB",
        "temp_file_limit": f"{unit * (4 if template == 'olap' else 1)}GB",
        "max_wal_senders": 50,
        "max_replication_slots": 50,
        "track_commit_timestamp": "on",
        # Switching archive_mode needs a restart, the command only a reload: so the mode is on from
        # the start, and nothing is kept for an archive that doesn't exist yet.
        "archive_mode": "on",
        "archive_command": "/bin/true",
        "archive_timeout": 300,
        "hot_standby_feedback": "on",
        "max_standby_archive_delay": "10min",
        "max_standby_streaming_delay": "3min",
        "wal_receiver_status_interval": "1s",
        "wal_receiver_timeout": "60s",
    }


def _planner(template: Template, params: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "default_statistics_target": {"olap": 1000, "tiny": 200}.get(template, 400),
    }
    if params["pg_storage_type"] == "SSD":
        settings |= {
            "random_page_cost": 1.1,
            "effective_io_concurrency": 200,
            "maintenance_io_concurrency": 100,
        }
    if template == "olap":
        settings |= {"enable_partitionwise_join": "on", "enable_partitionwise_aggregate": "on"}
    if template in ("oltp", "crit"):
        settings |= {
            "parallel_setup_cost": 2000,
            "parallel_tuple_cost": 0.2,
            "min_parallel_table_scan_size": "32MB",
            "min_parallel_index_scan_size": "2MB",
        }
    return settings


def _logging(template: Template, params: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "logging_collector": "on",
        "log_destination": "csvlog",
        "log_directory": params["pg_log_dir"],
        # A file per weekday, overwritten a week later: bounded without a tool that rotates.
        "log_filename": "postgresql-%a.log",
        "log_file_mode": "0640",
        "log_rotation_age": "1d",
        "log_rotation_size": 0,
        "log_truncate_on_rotation": "on",
        "log_timezone": "UTC",
        "log_checkpoints": "on",
        "log_lock_waits": "on",
        "log_replication_commands": "on",
        "log_statement": "ddl",
        "log_temp_files": 1024,
        "log_autovacuum_min_duration": "1s",
        "log_min_duration_statement": 1000 if template == "olap" else 100,
        "track_io_timing": "on",
        "track_functions": "all",
        "track_activity_query_size": 32768 if template == "crit" else 8192,
    }
    if template == "crit":
        settings |= {"log_connections": "on", "log_disconnections": "on"}
    return settings


def _libraries(
    template: Template, settings: Mapping[str, Any], params: Mapping[str, Any]
) -> dict[str, Any]:
    libraries = ", ".join(
        part.strip() for part in str(params["pg_libs"]).split(",") if part.strip()
    )
    found: dict[str, Any] = {"shared_preload_libraries": libraries}
    if "auto_explain" in libraries:
        found |= {
            "auto_explain.log_min_duration": "1s",
            "auto_explain.log_analyze": "on",
            "auto_explain.log_verbose": "on",
            "auto_explain.log_timing": "on",
            "auto_explain.log_nested_statements": "on",
        }
    if "pg_stat_statements" in libraries:
        found |= {
            "pg_stat_statements.max": 2500 if template == "tiny" else 10000,
            "pg_stat_statements.track": "all",
            "pg_stat_statements.track_utility": "off",
            "pg_stat_statements.track_planning": "off",
        }
    if "pg_cron" in libraries:
        found["cron.database_name"] = params["pg_primary_db"]
    if "timescaledb" in libraries:
        found |= {
            "timescaledb.telemetry_level": "off",
            "timescaledb.max_background_workers": settings["max_worker_processes"],
        }
    if "citus" in libraries:
        found["citus.node_conninfo"] = "sslmode=prefer"
    return found


def _versioned(template: Template, version: int) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if version >= 15:
        settings["wal_compression"] = "lz4"
    if version >= 17:
        settings["sync_replication_slots"] = "on"
    if version >= 18:
        settings["idle_replication_slot_timeout"] = "3d" if template == "crit" else "7d"
    return settings


def _common(params: Mapping[str, Any]) -> dict[str, Any]:
    template = template_of(str(params["pg_conf"]))
    certificates = params["pg_cert_dir"]
    vacuum = {"vacuum_cost_delay": "20ms", "vacuum_cost_limit": 2000}
    if template == "olap":
        vacuum = {"vacuum_cost_delay": "10ms", "vacuum_cost_limit": 10000}
    settings: dict[str, Any] = {
        "password_encryption": params["pg_pwd_enc"],
        "ssl": "on",
        "ssl_cert_file": f"{certificates}/server.crt",
        "ssl_key_file": f"{certificates}/server.key",
        "ssl_ca_file": f"{certificates}/ca.crt",
        "bgwriter_delay": "10ms",
        "bgwriter_lru_maxpages": 800,
        "bgwriter_lru_multiplier": 5.0,
        "deadlock_timeout": "50ms",
        "idle_in_transaction_session_timeout": {"olap": 0, "crit": "1min"}.get(template, "10min"),
        "autovacuum_naptime": "1min",
        "autovacuum_vacuum_threshold": 1000 if template == "olap" else 500,
        "autovacuum_analyze_threshold": 500 if template == "olap" else 250,
        "autovacuum_freeze_max_age": 1_000_000_000,
        **vacuum,
    }
    if template != "tiny":
        settings |= {
            "autovacuum_vacuum_scale_factor": 0.08,
            "autovacuum_analyze_scale_factor": 0.04,
        }
    return settings
