"""Folders, links and small files of a PostgreSQL member, outside its data directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pigsty.render.files import Directory, File, text
from pigsty.render.patroni import WATCHDOG, watchdog_mode

#: The superuser's group has this name whatever the superuser's is: packages rely on it.
GROUP = "postgres"
#: Below the cluster's folder. The data directory isn't among them: Patroni makes and replaces it.
FOLDERS = ("bin", "cert", "change", "conf", "log", "spool", "tmp")
_UNITS = {
    "K": 1024,
    "M": 1024**2,
    "G": 1024**3,
    "T": 1024**4,
}


def folders(spec: Mapping[str, Any]) -> list[Directory]:
    """Return the folders of a member, parents before children.

    Args:
        spec: the pillar's ``pigsty:pgsql``.
    """
    params, places = spec["params"], spec["directories"]
    user = params["pg_dbsu"]
    # The mount points belong to root; what a cluster owns begins below them.
    roots = [
        str(PurePosixPath(places["main"]).parent),
        str(PurePosixPath(places["backup"]).parents[1]),
    ]
    found = {path: Directory(path) for path in roots}
    logs = (params["pg_log_dir"], params["patroni_log_dir"], params["pgbouncer_log_dir"])
    own = [places["main"], *(f"{places['main']}/{name}" for name in FOLDERS)]
    own += [str(PurePosixPath(places["backup"]).parent), places["backup"]]
    # A log folder below the link is made where the link leads, so that order doesn't matter.
    own += [_resolved(path, places) for path in logs]
    for path in own:
        found.setdefault(path, Directory(path, "0750", user, GROUP))
    return list(found.values())


def links(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the links of a member: path of the link, and where it leads."""
    places = spec["directories"]
    found = {places["home"]: places["main"], f"{places['main']}/backup": places["backup"]}
    programs = str(PurePosixPath(spec["params"]["pg_bin_dir"]).parent)
    if programs != places["programs"]:
        found[programs] = places["programs"]
    return found


def ballast(spec: Mapping[str, Any]) -> tuple[str, int]:
    """Return path and bytes of the file that is there to be deleted when the disk is full."""
    size = str(spec["params"]["pg_dummy_filesize"] or "0").strip()
    digits = size.rstrip("iBbKkMmGgTt ")
    unit = size[len(digits) :].strip().upper()[:1]
    return f"{spec['directories']['main']}/dummy", int(digits or 0) * _UNITS.get(unit, 1)


def before_packages(spec: Mapping[str, Any]) -> list[File]:
    """Return what must stand before the packages come: no cluster but ours is made."""
    return [File(spec["platform"]["no_main_cluster"], text("create_main_cluster = false"))]


def files(spec: Mapping[str, Any]) -> list[File]:
    """Return the shell's profile, what the superuser may do as root, and units' drop-ins."""
    params, platform = spec["params"], spec["platform"]
    return [
        File("/etc/profile.d/pgsql.sh", _profile(params, platform)),
        File("/etc/logrotate.d/pigsty-pgsql", _rotation(params)),
        File("/etc/sudoers.d/pigsty-pgsql", _sudo(params), mode="0440"),
        File(drop_in(platform["patroni_unit"]), _patroni_unit(params)),
        File(drop_in(platform["pgbouncer_unit"]), _pgbouncer_unit()),
    ]


def drop_in(unit: str) -> str:
    """Return the path of our addition to a package's unit."""
    return f"/etc/systemd/system/{unit}.d/pigsty.conf"


def _resolved(path: str, places: Mapping[str, str]) -> str:
    home = places["home"] + "/"
    return f"{places['main']}/{path.removeprefix(home)}" if path.startswith(home) else path


def _profile(params: Mapping[str, Any], platform: Mapping[str, Any]) -> str:
    return text(
        f'case ":$PATH:" in *:{params["pg_bin_dir"]}:*) ;; '
        f'*) PATH="{params["pg_bin_dir"]}:$PATH" ;; esac',
        f"export PATH PGDATA={params['pg_data']}",
        f"alias pg='patronictl -c {platform['patroni_config']}'",
    )


def _rotation(params: Mapping[str, Any]) -> str:
    """Return how PgBouncer's log is kept small; PostgreSQL and Patroni rotate theirs themselves."""
    return text(
        f"{params['pgbouncer_log_dir']}/*.log {{",
        f"    su {params['pg_dbsu']} {GROUP}",
        "    weekly",
        "    maxsize 100M",
        "    rotate 4",
        "    compress",
        "    missingok",
        "    notifempty",
        "    copytruncate",
        "}",
    )


def _sudo(params: Mapping[str, Any]) -> str | None:
    user, level = params["pg_dbsu"], params["pg_dbsu_sudo"]
    if level == "none":
        return None
    if level == "all":
        return text(f"{user} ALL=(ALL) ALL")
    if level == "nopass":
        return text(f"{user} ALL=(ALL) NOPASSWD: ALL")
    # No `status`: it shows its output in a pager, from which one could leave to a shell of root.
    verbs = ("start", "stop", "restart", "reload")
    units = ("patroni", "pgbouncer", "vip-manager")
    commands = [f"/usr/bin/systemctl {verb} {unit}" for unit in units for verb in verbs]
    commands += ["/usr/sbin/modprobe softdog", f"/usr/bin/chown {user} {WATCHDOG}"]
    return text(f"{user} ALL=(root) NOPASSWD: {', '.join(commands)}")


def _patroni_unit(params: Mapping[str, Any]) -> str:
    lines = [
        "[Unit]",
        "Wants=network-online.target",
        "After=network-online.target",
        # However often it fails, it is tried again: a member that gave up needs a human.
        "StartLimitIntervalSec=0",
        "[Service]",
        "Restart=on-failure",
        "RestartSec=2",
        "LimitNOFILE=1048576",
        # A fast shutdown writes a checkpoint first; killed before it ends, PostgreSQL would go on
        # without its Patroni.
        "TimeoutStopSec=120",
        # The postmaster is the last to be killed for memory, its backends are as likely as others.
        "OOMScoreAdjust=-900",
        "Environment=PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj PG_OOM_ADJUST_VALUE=0",
    ]
    if watchdog_mode(params) != "off":
        lines.append(f"ExecStartPre=-+/usr/bin/chown {params['pg_dbsu']} {WATCHDOG}")
    return text(*lines)


def _pgbouncer_unit() -> str:
    return text(
        "[Unit]",
        "StartLimitIntervalSec=0",
        "[Service]",
        "Restart=on-failure",
        "RestartSec=2",
        # A client and a server connection each take a descriptor.
        "LimitNOFILE=131072",
        "OOMScoreAdjust=-500",
    )
