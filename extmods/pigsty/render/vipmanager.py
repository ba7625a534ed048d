"""vip-manager's configuration: an address that goes where a PostgreSQL cluster's leader is.

The program asks the Patroni of its own machine once a second whether it holds the leader key. It
could watch the key in etcd instead. But it holds on to the last answer that it got, whatever the
source, and its source must therefore be one whose silence we hear of: a Patroni that is cut off
from etcd answers (no longer the leader), and one that ends is noticed by systemd, which then starts
the program anew. Of a watch that etcd lost, nobody hears.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from pigsty.render.files import BANNER, File, text
from pigsty.render.pglayout import drop_in

UNIT = "vip-manager.service"
CONF = "/etc/default/vip-manager.yml"


def files(vip: Mapping[str, Any], interface: str) -> list[File]:
    """Return the configuration and the additions to the units of vip-manager and of Patroni.

    Args:
        vip: the pillar's ``pigsty:pgsql:vip``.
        interface: which interface carries the address.
    """
    return [
        File(CONF, _conf(vip, interface)),
        File(drop_in(UNIT), _unit(vip, interface)),
        File(beside(vip["patroni_unit"]), _patroni_unit()),
    ]


def gone(patroni_unit: str) -> list[File]:
    """Return the same files as they shall be without an address."""
    return [File(path, None) for path in (CONF, drop_in(UNIT), beside(patroni_unit))]


def beside(patroni_unit: str) -> str:
    """Return the path of what Patroni's unit does for the address."""
    return f"/etc/systemd/system/{patroni_unit}.d/pigsty-vip.conf"


def _conf(vip: Mapping[str, Any], interface: str) -> str:
    values = {
        "ip": vip["address"],
        "netmask": vip["length"],
        "interface": interface,
        "manager-type": "basic",
        "dcs-type": "patroni",
        "dcs-endpoints": [vip["patroni"]],
        "trigger-key": "/leader",
        "trigger-value": "200",
        "interval": 1000,
    }
    return f"{BANNER}\n{yaml.safe_dump(values, sort_keys=False)}"


def _unit(vip: Mapping[str, Any], interface: str) -> str:
    """Return the addition to vip-manager's unit.

    However the program ends, the machine must not keep the address: nobody would take it away when
    another member leads. So systemd removes it. The program itself would at an interrupt only, and
    version 3.0.0 may hang then; SIGTERM, systemd's own choice, ends it at once.
    """
    return text(
        "[Unit]",
        "StartLimitIntervalSec=0",
        "[Service]",
        "ExecStart=",
        f"ExecStart=/usr/bin/vip-manager --config={CONF}",
        f"ExecStopPost=-/usr/sbin/ip address del {vip['address']}/{vip['length']} dev {interface}",
        # The only authorities that it believes that it talks to Patroni.
        f"Environment=SSL_CERT_FILE={vip['authorities']}",
        "TimeoutStopSec=5",
        "Restart=always",
        "RestartSec=1",
    )


def _patroni_unit() -> str:
    """Return the addition to Patroni's unit.

    vip-manager takes no answer for "no change". One that starts has no answer yet and no address.
    """
    return text(
        "[Service]",
        f"ExecStopPost=-+/usr/bin/systemctl --no-block try-restart {UNIT}",
    )
