"""What watches: Prometheus, Alertmanager, the prober, nginx."""

from __future__ import annotations

from pigsty.dashboards.common import ALERTS, INFRA, OVERVIEW, SALT, UP, critical
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Key,
    Limits,
    Link,
    Row,
    alerts,
    bars,
    chart,
    q,
    stat,
    table,
)

PAGE = Dashboard(
    INFRA,
    "Infra",
    "Infrastructure",
    "Whether what watches is well itself: targets, rules, alerts, the portal, certificates.",
    variables=(),
    rows=(
        Row(
            "",
            (
                stat("Targets", "number", "sum(infra:all:targets)"),
                stat(
                    "Targets down",
                    "number",
                    "sum(infra:all:targets) - sum(infra:all:targets_up)",
                    limits=Limits(1, 5),
                ),
                stat("Series", "number", "sum(infra:ins:series)"),
                stat(
                    "Samples", "ops", "sum(rate(prometheus_tsdb_head_samples_appended_total[5m]))"
                ),
                stat(
                    "Metrics on disk",
                    "bytes",
                    "sum(prometheus_tsdb_storage_blocks_bytes) "
                    "+ sum(prometheus_tsdb_wal_storage_size_bytes)",
                ),
                stat(
                    "Configuration is in use",
                    "yes",
                    "min(prometheus_config_last_reload_successful)",
                    limits=UP,
                ),
            ),
        ),
        Row(
            "Targets",
            (
                table(
                    "By job",
                    (Key("job", "Job"),),
                    Column("Targets", "infra:all:targets"),
                    Column("Up", "infra:all:targets_up"),
                    Column(
                        "A look takes",
                        "max by (job) (scrape_duration_seconds)",
                        "seconds",
                        Limits(2, 8),
                    ),
                    Column("Samples of a look", "sum by (job) (scrape_samples_scraped)"),
                    width=6,
                    height=7,
                ),
                table(
                    "Targets that are down",
                    (Key("job", "Job"), Key("component", "Program"), Key("ins", "Instance")),
                    Column("Up", "up == 0", "up", UP),
                    width=6,
                    height=7,
                    empty="Every target answers.",
                ),
                alerts("Alerts of what watches", 'category="infra"', height=3),
            ),
        ),
        Row(
            "Prometheus",
            (
                chart("Series", "number", "infra:ins:series"),
                chart(
                    "Samples",
                    "ops",
                    "sum by (ins) (rate(prometheus_tsdb_head_samples_appended_total[5m]))",
                ),
                chart(
                    "Queries take",
                    "seconds",
                    q(
                        'max by (ins) (prometheus_engine_query_duration_seconds{quantile="0.99", '
                        'slice="inner_eval"} >= 0)',
                        "{{ins}} 99 of 100",
                    ),
                    empty="Nobody asked it anything yet.",
                ),
                chart(
                    "A round of rules takes",
                    "seconds",
                    q("sum by (ins) (prometheus_rule_group_last_duration_seconds)"),
                    limits=Limits(2.5, 5),
                    meaning="A round is due every scrape interval.",
                ),
                chart(
                    "Rules that fail",
                    "ops",
                    q("sum by (ins) (rate(prometheus_rule_evaluation_failures_total[5m]))"),
                    limits=Limits(0.001, 0.1),
                ),
                chart(
                    "Slowest looks",
                    "seconds",
                    q(
                        "topk(5, max by (ins, component) (scrape_duration_seconds))",
                        "{{component}} of {{ins}}",
                    ),
                ),
            ),
        ),
        Row(
            "Alertmanager, prober, portal",
            (
                chart(
                    "Alerts in Alertmanager",
                    "number",
                    q("sum by (state) (alertmanager_alerts)", "{{state}}"),
                    stack=True,
                    empty="Alertmanager has no alert.",
                ),
                chart(
                    "Messages to people",
                    "ops",
                    q(
                        "sum by (integration) (rate(alertmanager_notifications_total[5m])) > 0",
                        "{{integration}} sent",
                    ),
                    q(
                        "sum by (integration) "
                        "(rate(alertmanager_notifications_failed_total[5m])) > 0",
                        "{{integration}} failed",
                    ),
                    empty="No receiver was written to in this time.",
                ),
                chart(
                    "Answer to a ping",
                    "seconds",
                    q('probe_duration_seconds{job=~"ping|.*-vip"}', "{{ins}} {{vip}}"),
                ),
                bars(
                    "Pings that fail",
                    "number",
                    q("probe_success == 0", "{{ins}} {{vip}}"),
                    empty="Every address answers.",
                ),
                chart("Requests of the portal", "ops", "infra:ins:nginx_rate1m"),
                chart(
                    "Connections of the portal",
                    "number",
                    q("sum by (ins) (nginx_connections_active)"),
                ),
            ),
        ),
        Row(
            "Certificates",
            (
                table(
                    "Certificates that end first",
                    (Key("ins", "Machine"), Key("role", "Of"), Key("path", "File")),
                    Column(
                        "Ends in",
                        "pigsty_certificate_end - time()",
                        "seconds",
                        Limits(14 * 86400, 3 * 86400),
                    ),
                    height=8,
                    empty="No machine has told of a certificate.",
                ),
            ),
        ),
    ),
    links=(Link(OVERVIEW), Link(ALERTS), Link(SALT)),
    marks=(critical('category="infra"'),),
)
