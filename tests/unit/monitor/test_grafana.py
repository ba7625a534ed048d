"""The dashboards as Grafana reads them."""

from __future__ import annotations

import json

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from pigsty.dashboards import PAGES
from pigsty.render import grafana
from pigsty.render.files import BANNER

TITLES = {page.uid: page.title for page in PAGES}
MADE = {page.uid: grafana.dashboard(page, TITLES) for page in PAGES}


def panel(uid, title):
    """Return a panel by its title; a row's heading may have the same."""
    panels = (found for found in MADE[uid]["panels"] if found["type"] != "row")
    return next(found for found in panels if found["title"] == title)


def thresholds(found):
    return [(step["color"], step["value"]) for step in found["thresholds"]["steps"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_grafanas_own_types_read_every_dashboard(page):
    made = MADE[page.uid]
    read = Dashboard.from_json(json.loads(json.dumps(made)))
    assert (read.uid, read.title) == (page.uid, page.title)
    shown = [found for found in made["panels"] if found["type"] != "row"]
    assert [found["title"] for found in shown] == [panel.title for panel in page.panels()]
    assert len(read.panels) == len(made["panels"])
    assert len({found["id"] for found in made["panels"]}) == len(made["panels"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_panels_lie_beside_and_below_one_another(page):
    taken: set[tuple[int, int]] = set()
    for found in MADE[page.uid]["panels"]:
        place = found["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & taken, found["title"]
        taken |= own


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_both_renderers_ask_the_same(page):
    for shown, wanted in zip(
        (found for found in MADE[page.uid]["panels"] if found["type"] != "row"),
        page.panels(),
        strict=True,
    ):
        asked = [target["expr"] for target in shown["targets"]]
        for expr, query in zip(asked, wanted.expressions(), strict=True):
            assert query.expr in expr


def test_links_carry_what_a_row_or_the_page_says():
    members = panel("pgsql-cluster", "Members")["fieldConfig"]["overrides"]
    (link,) = next(
        part["value"]
        for override in members
        if override["matcher"]["options"] == "Instance"
        for part in override["properties"]
        if part["id"] == "links"
    )
    assert link["url"].startswith(
        '/ui/d/pgsql-instance?var-cls=${cls}&var-ins=${__data.fields["Instance"]}&'
    )
    (link,) = panel("overview", "Memory in use")["fieldConfig"]["defaults"]["links"]
    assert "var-ins=${__field.labels.ins}" in link["url"]
    ways = {link["title"]: link["url"] for link in MADE["pgsql-cluster"]["links"]}
    assert ways["Replication"] == "/ui/d/pgsql-replication?var-cls=${cls}"


def test_values_that_are_bad_are_red_from_either_side():
    up = panel("pgsql-instance", "Up")["fieldConfig"]["defaults"]
    (_, _), (orange, above), (green, well) = thresholds(up)
    assert (orange, green, well) == ("orange", "green", 1)
    assert 0 < above < 0.01
    usage = panel("pgsql-instance", "Pressure")["fieldConfig"]["defaults"]
    assert thresholds(usage) == [("green", None), ("orange", 0.7), ("red", 0.9)]
    one = panel("node-overview", "Nodes down")["fieldConfig"]["defaults"]
    assert thresholds(one) == [("green", None), ("red", 1)]


def test_a_table_has_heads_for_people_and_its_own_order():
    slots = panel("pgsql-replication", "Slots")
    merge, organize = slots["transformations"]
    assert merge["id"] == "merge"
    names = organize["options"]["renameByName"]
    assert (names["slot"], names["Value #A"], names["Value #C"]) == ("Slot", "In use", "Lost")
    assert all(target["format"] == "table" and target["instant"] for target in slots["targets"])
    clusters = [found for found in MADE["pgsql-overview"]["panels"] if found["type"] == "table"]
    leader = next(found for found in clusters if found["title"] == "Clusters")
    options = leader["transformations"][1]["options"]
    assert options["renameByName"]["ins"] == "Leader"
    assert options["excludeByName"]["Value #A"] is True


def test_moments_are_in_grafanas_milliseconds():
    (target,) = panel("pgsql-table", "Vacuumed")["targets"]
    assert target["expr"].startswith("1000 * (pg_table_last_vacuum{")


def test_a_choice_of_all_is_everything():
    found = {entry["name"]: entry for entry in MADE["alerts"]["templating"]["list"]}
    assert found["severity"]["allValue"] == ".*"
    assert found["severity"]["query"]["query"] == "label_values(ALERTS, severity)"
    (cls,) = MADE["pgsql-cluster"]["templating"]["list"]
    assert not cls["includeAll"]


def test_files_name_sources_and_hold_no_secret():
    meta = {"host": "10.1.1.1", "port": 5432, "database": "meta", "user": "dbuser_view"}
    sources = grafana.sources("http://127.0.0.1:9090/prometheus", "10s", meta, "http://l:3100")
    files = grafana.files(PAGES, sources)
    assert {f"{grafana.FOLDER}/{page.uid}.json" for page in PAGES} < set(files)
    text = files[f"{grafana.PROVISIONING}/datasources/pigsty.yml"]
    read = json.loads(text.removeprefix(BANNER))["datasources"]
    assert [source["uid"] for source in read] == [grafana.PROMETHEUS, grafana.META, grafana.LOGS]
    assert read[1]["secureJsonData"] == {"password": "$PIGSTY_META_PASSWORD"}
    (provider,) = json.loads(
        files[f"{grafana.PROVISIONING}/dashboards/pigsty.yml"].removeprefix(BANNER)
    )["providers"]
    assert provider["options"]["path"] == grafana.FOLDER
    assert [s["uid"] for s in grafana.sources("http://p", "10s", None)] == [grafana.PROMETHEUS]
