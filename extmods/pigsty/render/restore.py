"""How a restored copy is started: as plain PostgreSQL in a unit of its own, away from Patroni."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pigsty.backups import Target
from pigsty.render.pgbackrest import GROUP

#: Lines of pg_controldata and the settings that recovery wants at least as high.
_CONTROLS: Mapping[str, str] = {
    "max_connections setting": "max_connections",
    "max_locks_per_xact setting": "max_locks_per_transaction",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_wal_senders setting": "max_wal_senders",
    "max_worker_processes setting": "max_worker_processes",
    "track_commit_timestamp setting": "track_commit_timestamp",
    "wal_level setting": "wal_level",
}


@dataclass(frozen=True, slots=True)
class Copy:
    """A restored copy of a cluster on one machine.

    Attributes:
        data: its data directory.
        socket: directory of its socket.
        port: its port.
        unit: the transient unit that it runs in.
        log: its log file.
        aside: whether it runs beside the live cluster, which must not notice it.
        listen: addresses that it listens at.
        config: pgBackRest's configuration for another cluster's backups.
    """

    data: str
    socket: str
    port: int
    unit: str
    log: str
    aside: bool
    listen: str = ""
    config: str = ""


def side(spec: Mapping[str, Any], port: int) -> Copy:
    """Return a person's copy beside the live cluster, which is reached like the server itself."""
    folder = f"{spec['directories']['main']}/side"
    return Copy(
        data=f"{folder}/data",
        socket=spec["params"]["pg_localhost"],
        port=port,
        unit="pigsty-side.service",
        log=f"{folder}/postgres.log",
        aside=True,
        listen=f"127.0.0.1,{spec['ip']}",
        config=f"{folder}/pgbackrest.conf",
    )


def drill(spec: Mapping[str, Any]) -> Copy:
    """Return the copy that a drill makes and deletes: a person's stays, and nobody connects to it.

    It is reached by its own folder only.
    """
    folder = f"{spec['directories']['main']}/drill"
    return Copy(
        data=f"{folder}/data",
        socket=folder,
        port=int(spec["params"]["pg_port"]),
        unit="pigsty-drill.service",
        log=f"{folder}/postgres.log",
        aside=True,
    )


def place(spec: Mapping[str, Any]) -> Copy:
    """Return the cluster's own data directory, while nobody may connect to it."""
    folder = f"{spec['directories']['main']}/tmp"  # noqa: S108
    return Copy(
        data=spec["params"]["pg_data"],
        socket=folder,
        port=int(spec["params"]["pg_port"]),
        unit="pigsty-restore.service",
        log=f"{folder}/restore.log",
        aside=False,
    )


def restore(
    copy: Copy, stanza: str, target: Target, label: str, timeline: str = "", config: str = ""
) -> list[str]:
    """Return pgBackRest's command that fills a copy's data directory.

    Args:
        copy: where to.
        stanza: whose backup.
        target: where recovery ends.
        label: the backup to begin with.
        timeline: the timeline to follow, the newest by default.
        config: pgBackRest's configuration, where it isn't this cluster's.
    """
    words = ["restore", f"--set={label}", *target.options()]
    if target.kind != "latest":
        words.append("--target-action=promote")
    # The end of a backup lies on that backup's own timeline: pgBackRest takes no other there.
    if timeline and target.kind != "immediate":
        words.append(f"--target-timeline={timeline}")
    if not copy.aside:
        return [*words, "--delta"]
    # The live member archives at the same time, and asynchronous commands would wait for each
    # other. Tablespaces must not land on those of the live cluster.
    own = f" --config={config}" if config else ""
    command = (
        f"pgbackrest{own} --stanza={stanza} --pg1-path={copy.data} --no-archive-async archive-get"
    )
    return [
        *words,
        f"--pg1-path={copy.data}",
        "--archive-mode=off",
        f"--tablespace-map-all={copy.data}.tablespaces",
        f'--recovery-option=restore_command={command} %f "%p"',
    ]


def start(copy: Copy, spec: Mapping[str, Any], controls: Mapping[str, str]) -> list[str]:
    """Return the command that starts a copy's server in its unit.

    Args:
        copy: the copy, restored.
        spec: the pillar's ``pigsty:pgsql``.
        controls: from :func:`controls`.
    """
    params = spec["params"]
    settings: dict[str, Any] = {
        "port": copy.port,
        "listen_addresses": copy.listen,
        "unix_socket_directories": copy.socket,
        "logging_collector": "off",
        "log_destination": "stderr",
        "hot_standby": "on",
        **controls,
    }
    if copy.aside:
        settings |= {
            "archive_mode": "off",
            "cluster_name": "side",
            "huge_pages": "off",
            "shared_buffers": "128MB",
        }
    properties = {
        "User": params["pg_dbsu"],
        "Group": GROUP,
        # A fast shutdown, and time for its checkpoint.
        "KillSignal": "SIGINT",
        "KillMode": "mixed",
        "TimeoutStopSec": "300",
        "StandardOutput": f"append:{copy.log}",
        "StandardError": f"append:{copy.log}",
    }
    return [
        "systemd-run",
        "--collect",
        f"--unit={copy.unit}",
        *(f"--property={name}={value}" for name, value in properties.items()),
        f"{params['pg_bin_dir']}/postgres",
        "-D",
        copy.data,
        *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
    ]


def controls(lines: Sequence[str]) -> dict[str, str]:
    """Return the settings that a server had when its backup was made, from pg_controldata."""
    found = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in _CONTROLS:
            found[_CONTROLS[name.strip()]] = value.strip()
    return found
