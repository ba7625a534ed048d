"""What follows from an alert: it is written down, and a dead exporter may be started again.

Alertmanager tells the admin node by a web hook, which becomes an event and so a hint: what fires is
asked of Prometheus when the reaction begins. Nothing is restarted that holds data or decides who
leads: only programs of :data:`RESTARTS` whose name the inventory lists in ``alert_restarts``. And
nothing is restarted that runs: the aspect of the states that keeps the program is applied, which
starts what is dead and leaves everything else as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pigsty.errors import PigstyError
from pigsty.topology import Topology

#: Where the admin node takes alerts, on its loopback.
PORT = 4507
PATH = "/alerts"
#: More than some thousand alerts at once.
LIMIT = 4 * 2**20
#: The file from which Alertmanager takes what shows that it is itself.
TOKEN = "/etc/prometheus/events.token"  # noqa: S105 - a path
#: The parameter that lists the programs that may be started again.
PARAMETER = "alert_restarts"
#: By alert and component, the program as ``alert_restarts`` names it, and the states that keep it.
RESTARTS: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType(
    {
        ("NodeExporterDown", "node"): ("node_exporter", "node.monitor"),
        ("PostgresExporterDown", "postgres"): ("pg_exporter", "node.monitor"),
        ("PgbouncerExporterDown", "pgbouncer"): ("pgbouncer_exporter", "node.monitor"),
        ("AgentDown", "pgbackrest"): ("pgbackrest_exporter", "node.monitor"),
        ("AgentDown", "nginx"): ("nginx_exporter", "node.monitor"),
        ("HaproxyDown", "haproxy"): ("haproxy", "node.haproxy"),
    }
)
#: What ``alert_restarts`` may name.
PROGRAMS = frozenset(program for program, _states in RESTARTS.values())


class AlertError(PigstyError):
    """What came is no message of Alertmanager."""


@dataclass(frozen=True, slots=True)
class Told:
    """An alert as Alertmanager tells of it: ``firing`` or ``resolved``, and where."""

    name: str
    status: str
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires, by Prometheus's own word.

    Attributes:
        name: of the alert.
        component: the program that it is about, "" where it is about none.
        ins: instance.
        ip: its machine.
        since: when it began, as Prometheus writes it.
    """

    name: str
    component: str
    ins: str
    ip: str
    since: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is true of an alert, and what follows.

    Attributes:
        why: a sentence.
        fact: what is settled once it was dealt with; None where it doesn't fire.
        states: which states are run on which hosts.
    """

    why: str
    fact: str | None = None
    states: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read(body: bytes) -> list[Told]:
    """Read a message of Alertmanager's web hook (version 4).

    Raises:
        AlertError: it is none.
    """
    try:
        message = json.loads(body)
        return [_told(alert) for alert in message["alerts"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise AlertError(f"no message of Alertmanager: {type(error).__name__}") from error


def firing(live: Iterable[Mapping[str, Any]]) -> tuple[Firing, ...]:
    """Return what fires, from the alerts as Prometheus's API gives them."""
    found = []
    for alert in live:
        labels = alert["labels"]
        if alert["state"] == "firing":
            component, ins, ip = (str(labels.get(key, "")) for key in ("component", "ins", "ip"))
            since = str(alert.get("activeAt", ""))
            found.append(Firing(str(labels["alertname"]), component, ins, ip, since))
    return tuple(found)


def judge(name: str, alerts: Iterable[Firing], topology: Topology) -> Judgement:
    """Return what follows from an alert of this name.

    Args:
        name: of the alert.
        alerts: all that fire now.
        topology: the deployment.
    """
    own = sorted((a for a in alerts if a.name == name), key=lambda a: (a.ins, a.ip, a.component))
    if not own:
        return Judgement(f"{name} doesn't fire now")
    where = dict.fromkeys(alert.ins or alert.ip for alert in own)
    why = f"{name} fires" + (f" for {', '.join(where)}" if any(where) else "")
    states: dict[str, tuple[str, ...]] = {}
    for alert in own:
        program, sls = RESTARTS.get((name, alert.component), ("", ""))
        node = topology.nodes.get(alert.ip)
        if node is None or program not in (node.vars[PARAMETER] or ()):
            continue
        states[sls] = tuple(dict.fromkeys((*states.get(sls, ()), alert.ip)))
    fact = json.dumps([[alert.ins, alert.component, alert.since] for alert in own])
    return Judgement(why, fact, states)


def _told(alert: Mapping[str, Any]) -> Told:
    status, labels = alert["status"], alert["labels"]
    if status not in ("firing", "resolved"):
        raise ValueError(status)
    places = {key: str(labels[key]) for key in ("cls", "ins", "ip") if labels.get(key)}
    return Told(str(labels["alertname"]), status, places)
