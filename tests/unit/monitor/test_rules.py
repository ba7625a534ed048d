"""The rule files: names, labels and texts; that they fire is promtool's matter (tests/sandbox)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import alerts as table
import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[3] / "states/infra/rules"
GROUPS = [
    group
    for file in sorted(FOLDER.glob("*.yml"))
    for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
RECORDS = [rule for group in GROUPS for rule in group["rules"] if "record" in rule]
LEVELS = {"0": "CRIT", "1": "WARN", "2": "INFO"}


def test_names_are_unique():
    for key, rules in (("alert", ALERTS), ("record", RECORDS)):
        names = [rule[key] for rule in rules]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_what_it_means_and_what_to_do(rule):
    labels = rule["labels"]
    assert LEVELS[labels["level"]] == labels["severity"]
    assert labels["category"] in ("node", "pgsql", "etcd", "infra", "deployment")
    assert set(rule["annotations"]) == {"summary", "meaning", "command"}
    assert "{{" not in rule["annotations"]["meaning"]
    assert re.match(r"(pigsty|salt|salt-call|salt-run) ", rule["annotations"]["command"])


@pytest.mark.parametrize("rule", RECORDS, ids=lambda rule: rule["record"])
def test_a_record_is_named_by_module_level_and_metric(rule):
    module, level, metric = rule["record"].split(":")
    assert module in ("node", "haproxy", "pg", "pgbouncer", "infra", "etcd", "salt")
    assert level in ("ins", "dev", "fs", "cls", "db", "pool", "table", "query", "svc", "all")
    assert re.fullmatch(r"[a-z0-9_]+", metric)


def test_rules_use_no_record_that_nobody_makes():
    made = {rule["record"] for rule in RECORDS}
    for rule in (*RECORDS, *ALERTS):
        used = set(re.findall(r"\b[a-z]+:[a-z]+:[a-z0-9_]+", rule["expr"]))
        assert used <= made, f"{rule}: {used - made}"


def test_every_alert_has_series_that_raise_and_clear_it():
    assert set(table.ALERTS) == {rule["alert"] for rule in ALERTS}
    assert set(table.WAITING) <= set(table.ALERTS)


def test_the_test_of_promtool_asks_for_each_alert_twice():
    document = json.loads(table.document(["rules.yml"]))
    asked = [
        test
        for group in document["tests"]
        for test in group["promql_expr_test"]
        if "alertname" in test["expr"]
    ]
    assert len(asked) == 2 * len(table.ALERTS)
    assert sum(bool(test["exp_samples"]) for test in asked) == len(table.ALERTS)
