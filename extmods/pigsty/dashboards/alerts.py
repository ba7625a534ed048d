"""What is wrong now, and what was."""

from __future__ import annotations

from pigsty.dashboards.common import ALERTS, OVERVIEW
from pigsty.dashboards.model import Dashboard, Link, Row, Variable, alerts, bars, chart, q, stat

_CHOSEN = 'severity=~"$severity", category=~"$category"'

PAGE = Dashboard(
    ALERTS,
    "Alerts",
    "Deployment",
    "What fires, what it means, and the command to run next.",
    variables=(
        Variable("severity", "Level", "ALERTS", "severity", all=True),
        Variable("category", "About", "ALERTS", "category", all=True),
    ),
    rows=(
        Row("", (alerts("What fires now", _CHOSEN, height=9),)),
        Row(
            "In this time",
            (
                chart(
                    "Alerts that fired",
                    "number",
                    q(
                        f'count by (alertname) (ALERTS{{alertstate="firing", {_CHOSEN}}})',
                        "{{alertname}}",
                    ),
                    stack=True,
                    width=8,
                    empty="No alert has fired in this time.",
                ),
                bars(
                    "Where",
                    "number",
                    q(
                        f'count by (ins) (ALERTS{{alertstate="firing", ins!="", {_CHOSEN}}})',
                        "{{ins}}",
                    ),
                    empty="No alert fires.",
                ),
                chart(
                    "Alerts that wait for their time",
                    "number",
                    q(
                        f'count by (alertname) (ALERTS{{alertstate="pending", {_CHOSEN}}})',
                        "{{alertname}}",
                    ),
                    stack=True,
                    width=8,
                    meaning="True already, and not yet for as long as the rule asks.",
                    empty="No alert has begun in this time.",
                ),
                stat(
                    "Kept silent",
                    "number",
                    'sum(alertmanager_alerts{state="suppressed"})',
                    meaning="Silenced by somebody, or explained by another alert.",
                ),
                stat(
                    "Not delivered in 1 h",
                    "number",
                    "sum(increase(alertmanager_notifications_failed_total[1h]))",
                ),
            ),
        ),
    ),
    links=(Link(OVERVIEW),),
)
