"""Whether machines are what the inventory says, and what followed from events."""

from __future__ import annotations

from pigsty.dashboards.common import ALERTS, INFRA, OVERVIEW, SALT, TO_NODE, UP
from pigsty.dashboards.model import (
    Column,
    Dashboard,
    Key,
    Limits,
    Link,
    Row,
    alerts,
    chart,
    q,
    stat,
    table,
)

_NEVER = "No apply is known yet."
_QUIET = "Nothing followed from an event in the last hour."

PAGE = Dashboard(
    SALT,
    "Salt",
    "Deployment",
    "Minions, the last apply of each machine, drift, and what followed from events.",
    variables=(),
    rows=(
        Row(
            "",
            (
                stat("Minions connected", "number", "sum(pigsty_minion_connected)"),
                stat(
                    "Minions missing",
                    "number",
                    "count(pigsty_minion_connected == 0) or vector(0)",
                    limits=Limits(1, 1),
                ),
                stat(
                    "States that failed",
                    "number",
                    "sum(pigsty_converge_failed)",
                    limits=Limits(1, 1),
                    empty=_NEVER,
                ),
                stat(
                    "States that drifted",
                    "number",
                    "sum(pigsty_drift_states)",
                    limits=Limits(1, 50),
                    empty="Nobody has looked for drift yet.",
                ),
                stat(
                    "Reactions open", "number", "sum(pigsty_reactions_open)", limits=Limits(20, 100)
                ),
                stat(
                    "Overdue by",
                    "seconds",
                    "max(pigsty_reaction_overdue_seconds)",
                    limits=Limits(60, 300),
                ),
            ),
        ),
        Row(
            "Machines",
            (
                table(
                    "Machines",
                    (Key("cls", "Cluster"), Key("ins", "Node", TO_NODE), Key("ip", "Address")),
                    Column("Key accepted", "pigsty_minion_accepted", "yes", UP),
                    Column("Connected", "pigsty_minion_connected", "yes", UP),
                    Column("Last apply", "pigsty_converge_time_seconds", "time"),
                    Column("Failed", "pigsty_converge_failed", limits=Limits(1, 1)),
                    Column("Changed", "pigsty_converge_changed"),
                    Column("Drifted", "pigsty_drift_states", limits=Limits(1, 50)),
                    Column("Looked for", "pigsty_drift_time_seconds", "time"),
                    height=7,
                ),
                chart(
                    "States that failed",
                    "number",
                    q("max by (ins) (pigsty_converge_failed)"),
                    limits=Limits(1, 1),
                    empty=_NEVER,
                    link=TO_NODE,
                ),
                chart(
                    "Drift",
                    "number",
                    q("max by (ins) (pigsty_drift_states)"),
                    limits=Limits(1, 50),
                    meaning="States that would change something.",
                    empty="Nobody has looked for drift in this time.",
                    link=TO_NODE,
                ),
                chart("Minions connected", "number", q("sum(pigsty_minion_connected)", "minions")),
            ),
        ),
        Row(
            "Events and reactions",
            (
                table(
                    "What followed from events in the last hour",
                    (Key("kind", "Reaction"), Key("result", "Ended")),
                    Column("How many", "pigsty_reactions_ended"),
                    Column("On average", "pigsty_reaction_average_seconds", "seconds"),
                    Column(
                        "Longest", "pigsty_reaction_longest_seconds", "seconds", Limits(60, 300)
                    ),
                    height=5,
                    empty=_QUIET,
                ),
                chart(
                    "Reactions open",
                    "number",
                    q("pigsty_reactions_open", "{{state}}"),
                    stack=True,
                ),
                chart(
                    "Longest reaction",
                    "seconds",
                    q("max by (kind) (pigsty_reaction_longest_seconds)", "{{kind}}"),
                    empty=_QUIET,
                ),
                chart(
                    "Since a part of the events worked",
                    "seconds",
                    q("time() - pigsty_engine_alive_seconds", "{{engine}}"),
                    limits=Limits(60, 120),
                ),
                chart(
                    "Events refused in the last hour",
                    "number",
                    q("pigsty_hints_refused", "refused"),
                    meaning="Events that nothing followed from, because the truth said otherwise.",
                ),
                chart(
                    "Dropped by Salt's bus",
                    "number",
                    q("increase(pigsty_bus_dropped_total[10m])", "events"),
                    limits=Limits(1, 10),
                ),
                alerts("Alerts of the deployment", 'category="deployment"', width=4, height=6),
            ),
        ),
    ),
    links=(Link(OVERVIEW), Link(ALERTS), Link(INFRA)),
)
