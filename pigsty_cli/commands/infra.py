"""`pigsty infra`: the nodes that watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, output_option

if TYPE_CHECKING:
    from pigsty.clients.prometheus import Prometheus
    from pigsty.topology import InfraNode

COLUMNS = {
    "infra": "INFRA",
    "host": "HOST",
    "state": "STATE",
    "targets": "TARGETS UP",
    "alerts": "FIRING",
    "rules": "BROKEN RULES",
    "series": "SERIES",
    "portal": "PORTAL",
}


@click.group("infra")
def command() -> None:
    """The infra nodes: repository, portal, metrics and alerts.

    Effect: none, they only read.

    \b
    Examples:
      pigsty infra status
    """


@command.command("status")
@inventory_option
@output_option
def status(inventory: str | None, output: str) -> None:
    """Show each infra node: whether its Prometheus answers, and what it knows.

    Every infra node is a full copy, so that each row should say the same. -o json also tells how
    each program of it is (components).

    Effect: none, it only reads.

    \b
    Examples:
      pigsty infra status
      pigsty infra status -o json
    """
    from concurrent.futures import ThreadPoolExecutor

    from pigsty_cli import deployment
    from pigsty_cli.watching import client

    topology = deployment.load(find(inventory))
    with ThreadPoolExecutor(max_workers=8) as pool:
        rows = list(pool.map(lambda infra: _row(infra, client(infra)), topology.infra))
    if output == "table":
        rows = [{**row, "targets": f"{row['up']}/{row['known']}"} for row in rows]
        emit(rows, columns=COLUMNS)
        return
    emit(rows, output)


def _row(infra: InfraNode, prometheus: Prometheus) -> dict[str, Any]:
    """Return one infra node as it says itself."""
    from pigsty import watching
    from pigsty.clients.prometheus import PrometheusError
    from pigsty.pillar.monitoring import portal

    row: dict[str, Any] = {
        "infra": infra.name,
        "host": infra.ip,
        "state": "up",
        "up": 0,
        "known": 0,
        "alerts": 0,
        "rules": 0,
        "series": 0,
        "components": {},
        "portal": portal(infra.node),
    }
    if not infra.node.vars["prometheus_enabled"]:
        return {**row, "state": "off"}
    try:
        live = prometheus.targets()
        row["components"] = watching.components(live, infra.ip)
        row["known"], row["up"] = len(live), sum(found["health"] == "up" for found in live)
        row["alerts"] = len(watching.alerts(prometheus.alerts()))
        row["rules"] = len(watching.failing(prometheus.rules()))
        found = prometheus.query(f'prometheus_tsdb_head_series{{ip="{infra.ip}"}}')
        row["series"] = int(found[0]["value"][1]) if found else 0
    except PrometheusError as error:
        row["state"] = str(error)
    return row
