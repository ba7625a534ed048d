"""Keepalived's configuration: a floating address among the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from pigsty.render.files import text

CONF = "/etc/keepalived/keepalived.conf"
UNIT = "keepalived.service"
_PRIORITY = {"master": 128, "backup": 100}
#: VRRP carries this many characters of a password.
PASSWORD_LENGTH = 8


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
        f"vrrp_instance pigsty_{vrid} {{",
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
        "}",
    )
