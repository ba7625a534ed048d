"""Rows that people see: targets beside what is declared, alerts in order, and the commands."""

from __future__ import annotations

import json

import pytest

from pigsty import watching
from pigsty.clients import prometheus
from pigsty.clients.prometheus import PrometheusError
from pigsty_cli import exitcodes, main


def seen(row, **change):
    labels = {
        "job": row.job,
        "component": row.component,
        "cls": row.cls,
        "ins": row.ins,
        "instance": row.address,
    }
    return {"labels": labels, "health": "up", "lastError": "", **change}


@pytest.fixture
def wanted(deployment):
    made = deployment()
    return list(watching.declared(made, made.infra[0]))


def test_what_is_declared_and_not_known_is_missing(wanted):
    gone, *known = wanted
    rows = watching.compare(wanted, [seen(row) for row in known])
    assert [row.ins for row in rows if row.health == watching.MISSING] == [gone.ins]
    assert sum(row.health == "up" for row in rows) == len(known)
    assert len(rows) == len(wanted)


def test_a_target_of_people_is_shown_as_theirs(wanted):
    own = {"job": "node", "ins": "mine", "instance": "192.0.2.1:9100"}
    rows = watching.compare(wanted, [{"labels": own, "health": "down", "lastError": "no route"}])
    (mine,) = [row for row in rows if not row.declared]
    assert (mine.ins, mine.health, mine.error) == ("mine", "down", "no route")


@pytest.mark.parametrize(
    ("scope", "count"), [("pg-a", 14), ("pg-a-2", 7), ("10.1.1.3", 6), ("nobody", 0)]
)
def test_a_scope_is_a_cluster_an_instance_or_an_address(wanted, scope, count):
    rows = watching.compare(wanted, [], scope)
    # A ping has the bare address, everything else a port as well.
    assert len(rows) == (count if scope != "10.1.1.3" else 7)


def alert(name, level, state="firing", at="2026-11-21T07:00:00.5Z"):
    labels = {"alertname": name, "level": level, "cls": "pg-a", "ins": "pg-a-1"}
    said = {"summary": f"{name}!", "meaning": "bad", "command": "pigsty status"}
    return {"labels": labels, "annotations": said, "state": state, "activeAt": at}


def test_an_alert_of_many_machines_is_explained_once_and_so_is_each_command():
    names = ("NodeDown", "PgDown", "NodeDown")
    rows = watching.alerts([alert(name, "0") for name in names], pending=False)
    assert watching.explained(rows) == [
        "\nNodeDown: bad\n  $ pigsty status",
        "\nPgDown: bad\n  $ pigsty status",
    ]


def test_the_worst_and_the_oldest_alert_comes_first():
    live = [
        alert("C", "2"),
        alert("B", "0", at="2026-11-21T07:05:00Z"),
        alert("A", "0"),
        alert("D", "1", state="pending"),
    ]
    assert [row.alert for row in watching.alerts(live)] == ["A", "B", "C"]
    rows = watching.alerts(live, pending=True)
    assert [(row.level, row.alert) for row in rows] == [
        ("CRIT", "A"),
        ("CRIT", "B"),
        ("WARN", "D"),
        ("INFO", "C"),
    ]


def test_only_rules_that_fail_are_told():
    rules = [
        {"name": "good", "health": "ok"},
        {"name": "new", "health": "unknown"},
        {"name": "bad", "health": "err", "lastError": "many-to-many"},
    ]
    found = watching.failing([{"name": "g", "rules": rules}])
    assert found == [{"group": "g", "rule": "bad", "error": "many-to-many"}]


@pytest.fixture
def watched(monkeypatch, deployment):
    """The commands, over an inventory and a first Prometheus that is silent."""
    made = deployment()
    monkeypatch.setattr("pigsty_cli.deployment.load", lambda path: made)
    for name in ("targets", "alerts", "infra"):
        monkeypatch.setattr(f"pigsty_cli.commands.{name}.find", lambda given: given)
    answers = {"targets": [], "alerts": [alert("A", "0")], "rules": []}

    def data(self, what, **parameters):
        if self.host == "10.1.1.1":
            raise PrometheusError("Prometheus of 10.1.1.1: refused")
        if what == "query":
            return {"result": [{"metric": {}, "value": [0, "17"]}]}
        key = {"targets": "activeTargets", "alerts": "alerts", "rules": "groups"}[what]
        return {key: answers[what]}

    monkeypatch.setattr(prometheus.Prometheus, "_data", data)
    return answers


def test_another_infra_node_is_asked_when_the_first_is_silent(watched, capsys):
    assert main.run(["alerts", "-o", "json"]) == exitcodes.OK
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["alert"], found["command"]) == ("A", "pigsty status")
    assert main.run(["targets", "pg-a-1", "-o", "json"]) == exitcodes.OK
    assert {row["health"] for row in json.loads(capsys.readouterr().out)} == {"missing"}


def test_when_none_answers_it_says_why(watched, capsys, monkeypatch):
    def silent(self, what, **parameters):
        raise PrometheusError(f"Prometheus of {self.host}: refused")

    monkeypatch.setattr(prometheus.Prometheus, "_data", silent)
    assert main.run(["targets"]) == exitcodes.FAILED
    said = capsys.readouterr().err
    assert "10.1.1.1: refused" in said
    assert "10.1.1.4: refused" in said


def test_each_infra_node_is_a_row(watched, capsys):
    assert main.run(["infra", "status", "-o", "json"]) == exitcodes.OK
    first, second = json.loads(capsys.readouterr().out)
    assert first["state"] == "Prometheus of 10.1.1.1: refused"
    assert (second["state"], second["alerts"], second["series"]) == ("up", 1, 17)


def test_the_programs_of_an_infra_node_are_told_one_by_one():
    def target(component, health, ip="10.1.1.1", job="infra"):
        return {"labels": {"job": job, "component": component, "ip": ip}, "health": health}

    live = [
        target("prometheus", "up"),
        target("alertmanager", "down"),
        target("prometheus", "down", ip="10.1.1.4"),
        target("node", "up", job="node"),
    ]
    found = watching.components(live, "10.1.1.1")
    assert found == {"alertmanager": "down", "prometheus": "up"}


def test_an_alert_says_where_it_is_for_programs_too():
    labels = {"alertname": "A", "level": "1", "ip": "10.1.1.2", "category": "node"}
    live = [{"labels": labels, "annotations": {}, "state": "firing", "activeAt": "2026"}]
    (row,) = watching.alerts(live)
    assert (row.to_dict()["ip"], row.to_dict()["category"]) == ("10.1.1.2", "node")
