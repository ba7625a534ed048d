"""The machines of one cluster."""

from __future__ import annotations

from pigsty.dashboards.common import (
    CLS,
    CLUSTER,
    NODE_CLUSTER,
    NODES,
    TO_NODE,
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
    Variable,
    alerts,
    chart,
    q,
    stat,
    table,
)

_C = 'cls="$cls"'

PAGE = Dashboard(
    NODE_CLUSTER,
    "Node cluster",
    "Nodes",
    "The machines of one cluster side by side.",
    variables=(Variable("cls", "Cluster", 'up{component="node"}', "cls"),),
    rows=(
        Row(
            "",
            (
                stat("Nodes up", "number", f"node:cls:up{{{_C}}}"),
                stat(
                    "Nodes down",
                    "number",
                    f"node:cls:count{{{_C}}} - node:cls:up{{{_C}}}",
                    limits=Limits(1, 1),
                ),
                stat("Processors", "number", f"sum (node:ins:cpu_count{{{_C}}})"),
                stat("Processors in use", "ratio", f"node:cls:cpu_usage_1m{{{_C}}}", limits=USAGE),
                stat("Memory in use", "ratio", f"node:cls:mem_usage{{{_C}}}", limits=USAGE),
                stat("Fullest disk", "ratio", f"node:cls:space_usage{{{_C}}}", limits=USAGE),
            ),
        ),
        Row(
            "Nodes",
            (
                table(
                    "Nodes",
                    (Key("ins", "Node", TO_NODE), Key("ip", "Address")),
                    Column("Up", f'up{{component="node", {_C}}}', "up", UP),
                    Column("In use", f"node:ins:cpu_usage_1m{{{_C}}}", "ratio", USAGE),
                    Column("Load", f"node:ins:stdload1{{{_C}}}", limits=Limits(1, 2)),
                    Column("Memory", f"node:ins:mem_usage{{{_C}}}", "ratio", USAGE),
                    Column("Fullest disk", f"node:fs:space_usage{{{_C}}}", "ratio", USAGE),
                    Column(
                        "Ping lost", f"node:ins:ping_loss1m{{{_C}}}", "ratio", Limits(0.01, 0.5)
                    ),
                    Column("Running for", f"node:ins:uptime{{{_C}}}", "seconds"),
                    height=4,
                ),
                alerts("Alerts of these nodes", f'{_C}, category="node"', height=3),
                *of_machines(_C),
                chart(
                    "Network",
                    "bytes/s",
                    q(f"sum by (ins) (node:dev:network_rx_rate1m{{{_C}}})", "{{ins}} received"),
                    q(f"sum by (ins) (node:dev:network_tx_rate1m{{{_C}}})", "{{ins}} sent"),
                    link=TO_NODE,
                ),
                chart(
                    "Disks",
                    "bytes/s",
                    q(f"sum by (ins) (node:dev:disk_read_bytes_rate1m{{{_C}}})", "{{ins}} read"),
                    q(
                        f"sum by (ins) (node:dev:disk_write_bytes_rate1m{{{_C}}})",
                        "{{ins}} written",
                    ),
                    empty="These machines publish no disk.",
                    link=TO_NODE,
                ),
                chart(
                    "Connections by TCP",
                    "number",
                    f"node:ins:tcp_estab{{{_C}}}",
                    link=TO_NODE,
                ),
                table(
                    "Floating addresses",
                    (Key("vip", "Address"),),
                    Column("Holders", f"node:cls:vip_masters{{{_C}}}", limits=UP),
                    Column("Answers", f'probe_success{{job="node-vip", {_C}}}', "up", UP),
                    width=6,
                    height=3,
                    meaning="How many nodes hold it by what their keepalived says; it must be one.",
                    empty="These machines share no floating address.",
                ),
                chart(
                    "Who holds a floating address",
                    "number",
                    q(f"node:ins:vip_master{{{_C}}}", "{{ins}} {{vip}}"),
                    empty="These machines share no floating address.",
                    link=TO_NODE,
                ),
            ),
        ),
    ),
    links=(Link(NODES), Link(CLUSTER, CLS)),
    marks=(critical('cls="$cls"'),),
)
