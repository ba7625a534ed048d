"""All machines."""

from __future__ import annotations

from pigsty.dashboards.common import (
    ALERTS,
    NODES,
    OVERVIEW,
    TO_NODE,
    TO_NODES,
    UP,
    USAGE,
    critical,
    of_machines,
)
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Key,
    Limits,
    Link,
    Row,
    bars,
    chart,
    q,
    stat,
    table,
)

PAGE = Dashboard(
    NODES,
    "Nodes",
    "Nodes",
    "All machines: who is up, how busy they are, which disk is full.",
    variables=(),
    rows=(
        Row(
            "",
            (
                stat("Nodes up", "number", "node:all:up"),
                stat("Nodes down", "number", "node:all:count - node:all:up", limits=Limits(1, 1)),
                stat("Processors", "number", "sum(node:ins:cpu_count)"),
                stat("Processors in use", "ratio", "node:all:cpu_usage_1m", limits=USAGE),
                stat("Memory", "bytes", "sum(node_memory_MemTotal_bytes)"),
                stat("Fullest disk", "ratio", "max(node:fs:space_usage)", limits=USAGE),
            ),
        ),
        Row(
            "Nodes",
            (
                table(
                    "Nodes",
                    (
                        Key("cls", "Cluster", TO_NODES),
                        Key("ins", "Node", TO_NODE),
                        Key("ip", "Address"),
                    ),
                    Column("Up", 'up{component="node"}', "up", UP),
                    Column("Processors", "node:ins:cpu_count"),
                    Column("In use", "node:ins:cpu_usage_1m", "ratio", USAGE),
                    Column("Load", "node:ins:stdload1", limits=Limits(1, 2)),
                    Column("Memory", "node:ins:mem_usage", "ratio", USAGE),
                    Column("Fullest disk", "node:fs:space_usage", "ratio", USAGE),
                    Column("Ping", "node:ins:ping_time", "seconds", Limits(0.1, 1)),
                    Column("Running for", "node:ins:uptime", "seconds"),
                    height=8,
                ),
                *of_machines(),
                bars(
                    "Fullest file systems",
                    "ratio",
                    q("node:fs:space_usage", "{{ins}} {{mountpoint}}"),
                    limits=USAGE,
                    link=TO_NODE,
                ),
                chart(
                    "Network, received",
                    "bytes/s",
                    q("sum by (ins) (node:dev:network_rx_rate1m)"),
                    stack=True,
                    link=TO_NODE,
                ),
                chart(
                    "Disks, written",
                    "bytes/s",
                    q("sum by (ins) (node:dev:disk_write_bytes_rate1m)"),
                    stack=True,
                    empty="These machines publish no disk.",
                    link=TO_NODE,
                ),
            ),
        ),
    ),
    links=(Link(OVERVIEW), Link(ALERTS)),
    marks=(critical('category="node"'),),
)
