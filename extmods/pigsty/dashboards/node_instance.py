"""One machine."""

from __future__ import annotations

from pigsty.dashboards.common import NODE, NODES, UP, USAGE, critical
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

_I = 'ins="$ins"'
_DISKLESS = "This machine publishes no disk."
_FILES = 'fstype!~"tmpfs|ramfs|squashfs|iso9660"'

PAGE = Dashboard(
    NODE,
    "Node",
    "Nodes",
    "One machine: processors, memory, disks, network, clock, certificates.",
    variables=(Variable("ins", "Node", 'up{component="node"}', "ins"),),
    rows=(
        Row(
            "",
            (
                stat("Up", "up", f'up{{component="node", {_I}}}', limits=UP),
                stat("Running for", "seconds", f"node:ins:uptime{{{_I}}}"),
                stat("Processors in use", "ratio", f"node:ins:cpu_usage_1m{{{_I}}}", limits=USAGE),
                stat("Memory in use", "ratio", f"node:ins:mem_usage{{{_I}}}", limits=USAGE),
                stat("Fullest disk", "ratio", f"max (node:fs:space_usage{{{_I}}})", limits=USAGE),
                stat("System", "number", q(f"node_os_info{{{_I}}}", "{{pretty_name}}")),
            ),
        ),
        Row(
            "Processors and memory",
            (
                chart(
                    "Processors by what they do",
                    "ratio",
                    q(
                        f'avg by (mode) (rate(node_cpu_seconds_total{{mode!="idle", {_I}}}[1m]))',
                        "{{mode}}",
                    ),
                    stack=True,
                ),
                chart(
                    "Load",
                    "number",
                    q(f"node_load1{{{_I}}}", "1 min"),
                    q(f"node_load5{{{_I}}}", "5 min"),
                    q(f"node_load15{{{_I}}}", "15 min"),
                    q(f"node:ins:cpu_count{{{_I}}}", "processors"),
                ),
                chart(
                    "Memory",
                    "bytes",
                    q(
                        f"node_memory_MemTotal_bytes{{{_I}}} "
                        f"- node_memory_MemAvailable_bytes{{{_I}}}",
                        "in use",
                    ),
                    q(f"node_memory_MemAvailable_bytes{{{_I}}}", "available"),
                    stack=True,
                ),
                chart(
                    "Swap",
                    "bytes",
                    q(
                        f"node_memory_SwapTotal_bytes{{{_I}}} - node_memory_SwapFree_bytes{{{_I}}}",
                        "in use",
                    ),
                    q(f"node_memory_SwapTotal_bytes{{{_I}}}", "there is"),
                ),
                chart(
                    "Pressure",
                    "ratio",
                    q(f"rate(node_pressure_cpu_waiting_seconds_total{{{_I}}}[1m])", "processors"),
                    q(f"rate(node_pressure_memory_waiting_seconds_total{{{_I}}}[1m])", "memory"),
                    q(f"rate(node_pressure_io_waiting_seconds_total{{{_I}}}[1m])", "disks"),
                    meaning="Part of the time in which some process had to wait.",
                    empty="This kernel publishes no pressure.",
                ),
                chart(
                    "Killed for want of memory",
                    "number",
                    q(f"increase(node_vmstat_oom_kill{{{_I}}}[5m])", "processes"),
                    limits=Limits(1, 1),
                ),
            ),
        ),
        Row(
            "Disks",
            (
                table(
                    "File systems",
                    (Key("mountpoint", "Where"), Key("device", "Device")),
                    Column("Size", f"node_filesystem_size_bytes{{{_FILES}, {_I}}}", "bytes"),
                    Column("Free", f"node_filesystem_avail_bytes{{{_FILES}, {_I}}}", "bytes"),
                    Column("Used", f"node:fs:space_usage{{{_I}}}", "ratio", USAGE),
                    Column("Inodes used", f"node:fs:inode_usage{{{_I}}}", "ratio", USAGE),
                    Column(
                        "Free in 4 h", f"node:fs:space_free_in4h{{{_I}}}", "bytes", Limits(2**30, 0)
                    ),
                    height=5,
                    meaning="Free in 4 h: if it goes on as in the last half hour.",
                ),
                chart(
                    "Traffic of disks",
                    "bytes/s",
                    q(f"node:dev:disk_read_bytes_rate1m{{{_I}}}", "{{device}} read"),
                    q(f"node:dev:disk_write_bytes_rate1m{{{_I}}}", "{{device}} written"),
                    empty=_DISKLESS,
                ),
                chart(
                    "Requests",
                    "ops",
                    q(f"node:dev:disk_iops_1m{{{_I}}}", "{{device}}"),
                    empty=_DISKLESS,
                ),
                chart(
                    "Time of a request",
                    "seconds",
                    q(f"node:dev:disk_time_1m{{{_I}}}", "{{device}}"),
                    limits=Limits(0.032, 0.2),
                    empty="No disk had a request in this time.",
                ),
            ),
        ),
        Row(
            "Network and clock",
            (
                chart(
                    "Received",
                    "bytes/s",
                    q(f"node:dev:network_rx_rate1m{{{_I}}}", "{{device}}"),
                    stack=True,
                ),
                chart(
                    "Sent",
                    "bytes/s",
                    q(f"node:dev:network_tx_rate1m{{{_I}}}", "{{device}}"),
                    stack=True,
                ),
                chart(
                    "TCP",
                    "ops",
                    q(f"rate(node_netstat_Tcp_RetransSegs{{{_I}}}[1m])", "sent again"),
                    q(f"node:ins:tcp_error_rate1m{{{_I}}}", "broken"),
                ),
                chart(
                    "Ping",
                    "seconds",
                    q(f"node:ins:ping_time{{{_I}}}", "answered after"),
                ),
                chart(
                    "Clock is off by",
                    "seconds",
                    q(f"node_timex_offset_seconds{{{_I}}}", "offset"),
                    empty="A container shows its host's clock, and publishes none.",
                ),
                chart(
                    "Floating address",
                    "number",
                    q(f"node:ins:vip_master{{{_I}}}", "{{vip}} is held"),
                    q(f"keepalived_up{{{_I}}}", "keepalived runs"),
                    empty="This machine shares no floating address.",
                ),
                chart(
                    "Open files", "ratio", q(f"node:ins:fd_usage{{{_I}}}", "of what may be opened")
                ),
            ),
        ),
        Row(
            "What stands on it",
            (
                table(
                    "Certificates",
                    (Key("role", "Of"), Key("path", "File")),
                    Column(
                        "Ends in",
                        f"pigsty_certificate_end{{{_I}}} - time()",
                        "seconds",
                        Limits(14 * 86400, 3 * 86400),
                    ),
                    width=6,
                    height=4,
                    empty="No certificate of the deployment is known here.",
                ),
                alerts("Alerts of this machine", _I, width=6, height=4),
            ),
        ),
    ),
    links=(Link(NODES), Link("node-cluster", {}), Link("pgsql-instance", {"ins": "ins"})),
    marks=(critical('ins="$ins"'),),
)
