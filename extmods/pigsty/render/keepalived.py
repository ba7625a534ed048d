"""Keepalived's configuration: a floating address among the nodes of a cluster, and its metrics.

Debian packages no exporter of it. So keepalived tells a program of ours whenever its state changes,
and that writes a text file for the node exporter, with the names and numbers of the exporter that
people know. What such a file says is believed until somebody replaces it. Therefore the unit has it
replaced when keepalived ends, however it ends, and systemd removes it at each boot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_interface
from typing import Any

from pigsty.render.daemon import drop_in
from pigsty.render.exporters import TEXTFILES
from pigsty.render.files import BANNER, File, text

CONF = "/etc/keepalived/keepalived.conf"
UNIT = "keepalived.service"
#: What keepalived calls. The folder is root's alone, as its script security demands.
NOTIFY = "/etc/keepalived/pigsty-notify"
METRICS = f"{TEXTFILES}/pigsty_keepalived.prom"
BOOT = "/etc/tmpfiles.d/pigsty-keepalived.conf"
#: The last state, and how often it became master and ceased to be one since the boot.
MEMORY = "/run/pigsty/keepalived"
_PRIORITY = {"master": 128, "backup": 100}
#: VRRP carries this many characters of a password.
PASSWORD_LENGTH = 8


def files(vip: Mapping[str, Any], interface: str) -> list[File]:
    """Return all files of a floating address, the configuration first.

    Args:
        vip: the pillar's ``pigsty:node:vip``.
        interface: which interface carries the address.
    """
    address, vrid = vip["address"], vip["vrid"]
    return [
        # VRRP's password stands in it.
        File(CONF, conf(**{**vip, "interface": interface}), mode="0640", secret=True),
        File(NOTIFY, notify(address, vrid, interface), mode="0755"),
        File(BOOT, text(f"r! {METRICS}")),
        drop_in(
            UNIT,
            "[Service]",
            "Restart=on-failure",
            "RestartSec=1",
            # After a reload keepalived says nothing of a state that is still the same.
            f"ExecReload=-{NOTIFY}",
            # One that was killed left the address behind, and another node takes it as well.
            f"ExecStopPost=-/usr/sbin/ip address del {_whole(address)} dev {interface}",
            f"ExecStopPost=-{NOTIFY} UNIT {UNIT} STOP",
        ),
    ]


def gone() -> list[File]:
    """Return the same files as they shall be without an address, and those that came of them."""
    written = (NOTIFY, BOOT, drop_in(UNIT).path, METRICS, MEMORY)
    return [File(CONF, None, secret=True), *(File(path, None) for path in written)]


def notify(address: str, vrid: int, interface: str) -> str:
    """Return the program that writes the metrics.

    keepalived calls it as ``INSTANCE <name> <state> <priority>``, the unit the same way when it has
    ended (``STOP``), and without words after a reload.

    Args:
        address: the floating address, with or without its prefix length.
        vrid: VRRP router id.
        interface: which interface carries it.
    """
    plain = address.partition("/")[0]
    labels = f'iname="{_name(vrid)}",intf="{interface}",ip_address="{plain}",vrid="{vrid}"'
    metrics = (
        ("up", "gauge", "Whether keepalived runs.", "", "$up"),
        ("vrrp_state", "gauge", "0 stopped, 1 backup, 2 master, 3 fault.", labels, "$value"),
        ("become_master_total", "counter", "Became master since the boot.", labels, "$became"),
        ("release_master_total", "counter", "Ceased to be master.", labels, "$released"),
    )
    lines = []
    for name, kind, meaning, own, value in metrics:
        lines.append(f"# HELP keepalived_{name} {meaning}")
        lines.append(f"# TYPE keepalived_{name} {kind}")
        lines.append(f"keepalived_{name}{{{own}}} {value}" if own else f"keepalived_{name} {value}")
    return (
        "\n".join(
            (
                "#!/bin/sh",
                BANNER,
                "set -euC; umask 022; PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "# What it says of one that a reload took away is nothing about this one.",
                f'[ "${{1:-}}" != INSTANCE ] || [ "$2" = {_name(vrid)} ] || exit 0',
                f"memory={MEMORY} file={METRICS}",
                'mkdir -p "${memory%/*}" "${file%/*}"',
                "# Two changes at once are written one after the other.",
                'exec 9>>"$memory"; flock -w 10 9',
                "was= became= released=",
                'if [ -s "$memory" ]; then read -r was became released <"$memory" || :; fi',
                ': "${became:=0}" "${released:=0}"',
                "state=${3:-$was} up=1 value=0",
                'if [ -z "$state" ]; then',
                f"    held=$(ip -oneline address show dev {interface} to {plain})",
                "    state=${held:+MASTER}; state=${state:-BACKUP}",
                "fi",
                'case "$state" in',
                "    BACKUP) value=1 ;;",
                "    MASTER) value=2 ;;",
                "    FAULT) value=3 ;;",
                "    STOP) up=0 ;;",
                "esac",
                '[ "$was" = MASTER ] || [ "$state" != MASTER ] || became=$((became + 1))',
                '[ "$was" != MASTER ] || [ "$state" = MASTER ] || released=$((released + 1))',
                'echo "$state $became $released" >|"$memory"',
                'rm -f "$file.new"',
                'cat >"$file.new" <<END',
                *lines,
                "END",
                'mv -fT "$file.new" "$file"',
            )
        )
        + "\n"
    )


def _whole(address: str) -> str:
    """Return an address with its prefix length: without one keepalived sets it for itself alone."""
    return str(ip_interface(address))


def _name(vrid: int) -> str:
    """Return what keepalived calls the address."""
    return f"pigsty_{vrid}"


def conf(
    *,
    address: str,
    vrid: int,
    role: str,
    preempt: bool,
    interface: str,
    ip: str,
    peers: Sequence[str],
    password: str,
    router: str,
) -> str:
    """Return keepalived.conf.

    Args:
        address: the floating address, with or without its prefix length.
        vrid: VRRP router id, 1 to 254.
        role: ``master`` (priority 128) or ``backup`` (100).
        preempt: whether a node with a higher priority takes the address back.
        interface: which interface carries it.
        ip: the node's own address.
        peers: addresses of the other nodes that may carry it; VRRP is sent to each of them, because
            networks often drop multicast.
        password: VRRP's password.
        router: the node's name in the log.
    """
    # With "nopreempt" keepalived demands that every node starts as backup.
    state = role.upper() if preempt else "BACKUP"
    return text(
        "global_defs {",
        f"    router_id {router}",
        "    vrrp_garp_master_refresh 60",
        "    enable_script_security",
        "    script_user root",
        "}",
        "",
        f"vrrp_instance {_name(vrid)} {{",
        f"    state {state}",
        f"    interface {interface}",
        f"    virtual_router_id {vrid}",
        f"    priority {_PRIORITY[role]}",
        "    advert_int 1",
        *([] if preempt else ["    nopreempt"]),
        f"    unicast_src_ip {ip}",
        "    unicast_peer {",
        *(f"        {peer}" for peer in peers),
        "    }",
        "    authentication {",
        "        auth_type PASS",
        f'        auth_pass "{password[:PASSWORD_LENGTH]}"',
        "    }",
        "    virtual_ipaddress {",
        f"        {address}",
        "    }",
        f'    notify "{NOTIFY}"',
        "}",
    )
