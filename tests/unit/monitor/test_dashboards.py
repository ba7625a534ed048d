"""The dashboards: every link leads somewhere, every metric is one that somebody makes."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from pigsty.dashboards import PAGES, model
from pigsty.dashboards.common import GROUPS
from pigsty.metrics import NAMES
from pigsty.render import keepalived, queries

ROOT = Path(__file__).resolve().parents[3]
BY_UID = {page.uid: page for page in PAGES}
PANELS = [(page, panel) for page in PAGES for panel in page.panels()]
#: Labels that rows of a table or series carry beside the page's own choices.
ALWAYS = {"cls", "ins", "ip", "datname", "query", "schemaname", "relname", "replica", "server"}
#: Metrics of programs that are not ours: what is asked of each was seen on the live system.
FOREIGN = ("node_", "haproxy_", "patroni_", "pgbackrest_", "pgbouncer_", "etcd_", "nginx_")
FOREIGN += ("prometheus_", "alertmanager_", "probe_", "scrape_")


def test_every_page_has_an_address_and_a_name_of_its_own():
    assert len(BY_UID) == len(PAGES)
    assert len({page.title for page in PAGES}) == len(PAGES)
    for page in PAGES:
        assert re.fullmatch(r"[a-z][a-z-]*", page.uid), page.uid
        assert page.group in GROUPS, page.uid
        assert page.meaning.endswith("."), page.uid


def test_every_part_of_the_deployment_has_its_page():
    wanted = {"overview", "alerts", "etcd", "infra", "salt"}
    wanted |= {f"node-{part}" for part in ("overview", "cluster", "instance")}
    parts = "overview cluster instance database queries query tables table replication"
    wanted |= {f"pgsql-{part}" for part in f"{parts} pgbouncer patroni service backup".split()}
    assert set(BY_UID) == wanted


def test_every_page_is_reached_from_the_first_one():
    seen, todo = set(), ["overview"]
    while todo:
        page = BY_UID[todo.pop()]
        if page.uid in seen:
            continue
        seen.add(page.uid)
        links = [*page.links, *(link for panel in page.panels() for link in panel.links())]
        todo += [link.to for link in links]
    assert seen == set(BY_UID)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_links_lead_to_pages_and_carry_what_these_know(page):
    own = {variable.name for variable in page.variables}
    panels = [(link, own | ALWAYS) for panel in page.panels() for link in panel.links()]
    for link, known in [*((link, own) for link in page.links), *panels]:
        target = BY_UID[link.to]
        assert set(link.carry) <= {variable.name for variable in target.variables}, link
        assert set(link.carry.values()) <= known, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_variables_are_declared_before_they_are_used(page):
    known: set[str] = set()
    for variable in page.variables:
        assert model.variables(variable.metric) <= known, variable
        known.add(variable.name)
    for panel in page.panels():
        for query in panel.expressions():
            assert model.variables(query.expr) <= known, panel.title
    for mark in page.marks:
        assert model.variables(mark.expr) <= known, mark.title


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_a_choice_of_all_is_matched_as_a_pattern(page):
    everything = {variable.name for variable in page.variables if variable.all}
    texts = [query.expr for panel in page.panels() for query in panel.expressions()]
    texts += [variable.metric for variable in page.variables]
    texts += [mark.expr for mark in page.marks]
    for text in texts:
        for operator, name in re.findall(r'(=~|!~|=)"\$(\w+)"', text):
            assert (operator == "=~") == (name in everything), text


def test_every_metric_is_made_by_a_rule_a_query_or_an_exporter():
    rules = (ROOT / "states/infra/rules").glob("*.yml")
    groups = [group for file in rules for group in yaml.safe_load(file.read_text())["groups"]]
    made = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    for query in queries.ALL:
        made |= {f"{query.name}_{name}" for name, _ in (*query.gauges, *query.counters)}
    made |= {*NAMES, "up", "ALERTS", "pigsty_certificate_end"}
    made |= set(re.findall(r"# TYPE (\S+)", keepalived.notify("10.1.1.9", 9, "eth0")))
    made |= {
        f"pigsty_drill_{name}" for name in ("success", "timestamp_seconds", "duration_seconds")
    }
    selectors = [variable.metric for page in PAGES for variable in page.variables]
    asked = [query.expr for _, panel in PANELS for query in panel.expressions()]
    marked = [mark.expr for page in PAGES for mark in page.marks]
    for text in (*asked, *selectors, *marked):
        found = model.metrics(text)
        assert found, text
        for name in found - made:
            assert name.startswith(FOREIGN), f"{name} in {text}"


def test_every_panel_knows_whose_metrics_it_shows():
    for page, panel in PANELS:
        ours = {name for query in panel.expressions() for name in model.metrics(query.expr)}
        if ours - {"up", "ALERTS"} and not any(name.startswith("scrape_") for name in ours):
            assert panel.programs(), f"{page.uid}: {panel.title}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_charts_of_a_cluster_mark_its_leaders_and_critical_alerts(page):
    """Whoever sees a dip sees beside it that the lead changed; what isn't chosen isn't marked."""
    charts = [panel for panel in page.panels() if panel.kind == "timeseries"]
    if page.group == "PostgreSQL" and page.variables and charts:
        leader, alert = page.marks
        assert leader.expr.count('{cls="$cls"}') == leader.expr.count("{") == 4
        assert 'severity="CRIT", cls="$cls"' in alert.expr
        assert (leader.bad, alert.bad) == (False, True)
    assert not page.marks or charts
    for mark in page.marks:
        assert set(re.findall(r"{{(\w+)}}", mark.legend)) <= set(_by(mark.expr)), mark


def _by(expr: str) -> list[str]:
    """Return the labels that the series of an aggregation have."""
    found = re.match(r"max by \(([^)]*)\)", expr)
    assert found is not None, expr
    return found[1].split(", ")


def test_a_leader_is_marked_long_enough_for_the_longest_time_that_is_looked_at():
    """That is 30 days, in the 11,000 points that Prometheus answers with at most."""
    assert model.MARKED >= 30 * 86400 / 11000
    (mark,) = [mark for mark in BY_UID["pgsql-cluster"].marks if not mark.bad]
    for seconds in re.findall(r"\[(\d+)s\]", mark.expr):
        assert int(seconds) > model.MARKED


def test_panels_fit_and_are_told_apart():
    for page in PAGES:
        for row in page.rows:
            widths = [panel.width for panel in row.panels]
            assert set(widths) <= {2, 3, 4, 6, 8, 12}, page.uid
            names = [(panel.title, panel.unit) for panel in row.panels]
            assert len(set(names)) == len(names), f"{page.uid}: {row.title}"


def test_every_panel_asks_something_and_names_what_it_draws():
    for page, panel in PANELS:
        where = f"{page.uid}: {panel.title}"
        assert panel.expressions(), where
        if panel.kind == "timeseries":
            legends = [query.legend for query in panel.queries]
            assert all(legends), where
            assert len(set(legends)) == len(legends), where
        if panel.kind == "table":
            assert panel.keys, where
            titles = [part.title for part in (*panel.keys, *panel.columns)]
            assert len(set(titles)) == len(titles), where


def test_a_table_asks_for_its_keys_only():
    page = BY_UID["pgsql-replication"]
    (panel,) = [panel for panel in page.panels() if panel.title == "Slots"]
    exprs = [query.expr for query in panel.expressions()]
    assert exprs[0] == 'max by (ins, slot, type) (pg_slot_active{cls="$cls"})'
    (panel,) = [p for p in BY_UID["pgsql-overview"].panels() if p.title == "Clusters" and p.keys]
    assert panel.expressions()[0].expr == "max by (cls, ins) (pg:ins:is_primary == 1)"


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("up", {"up"}),
        ('sum by (cls) (rate(pg_db_commits{ins="$ins", a="b(c"}[5m]))', {"pg_db_commits"}),
        ("a_total / on (ip) group_left (cls) b:c:d > 0", {"a_total", "b:c:d"}),
        ('max(pg:ins:up) or vector(0) and time() - x_y{z=~"q.+"}', {"pg:ins:up", "x_y"}),
        ('sum(increase(pg_x[1h])) / 1e9 unless pg_y{m!~"a|b"} offset 5m', {"pg_x", "pg_y"}),
    ],
)
def test_metrics_are_told_from_labels_functions_and_numbers(expr, names):
    assert model.metrics(expr) == names


def test_programs_are_called_as_targets_call_them():
    assert model.program("pg_up") == "postgres"
    assert model.program("pgbackrest_repo_status") == "pgbackrest"
    assert model.program("pgbouncer:ins:up") == "pgbouncer"
    assert model.program("pigsty_drift_states") == "node"
    assert model.program("up") == ""


def test_limits_are_never_upside_down_by_accident():
    """Where low is bad, the unit or the title says that much is good."""
    for page, panel in PANELS:
        parts = [(panel.unit, panel.limits)] + [(c.unit, c.limits) for c in panel.columns]
        for unit, limits in parts:
            if limits is not None and limits.bad < limits.warn:
                assert unit in ("up", "yes", "ratio", "seconds", "bytes", "number"), page.uid
                if unit == "ratio":
                    assert limits.warn >= 0.5, f"{page.uid}: {panel.title}"


def test_the_menu_has_its_groups_together():
    groups = [page.group for page in PAGES]
    changes = sum(a != b for a, b in pairwise(groups))
    assert changes == len(set(groups)) - 1
