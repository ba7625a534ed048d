"""The dashboards as Grafana reads them."""

from __future__ import annotations

import json

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from pigsty import inventory, topology
from pigsty.dashboards import PAGES
from pigsty.render import grafana, nginx, portal
from pigsty.render.files import BANNER

TITLES = {page.uid: page.title for page in PAGES}
MADE = {page.uid: grafana.dashboard(page, TITLES, logs=True) for page in PAGES}


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_grafana_marks_what_the_portal_marks(page):
    shown = MADE[page.uid]["annotations"]["list"]
    told = portal.document(page, TITLES)["marks"]
    assert [entry["expr"] for entry in shown] == [mark["expr"] for mark in told]
    assert [entry["textFormat"] for entry in shown] == [mark["legend"] for mark in told]
    for entry, mark in zip(shown, page.marks, strict=True):
        assert entry["name"] == entry["titleFormat"] == mark.title
        assert entry["iconColor"] == ("red" if mark.bad else "blue")
        assert entry["datasource"]["uid"] == grafana.PROMETHEUS


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


def test_from_a_cluster_or_an_instance_one_gets_to_its_logs():
    ways = {link["title"]: link["url"] for link in MADE["pgsql-instance"]["links"]}
    assert ways["Logs"] == "/portal/logs.html?cls=${cls}&ins=${ins}"
    (page,) = [page for page in PAGES if page.uid == "pgsql-instance"]
    assert portal.document(page, TITLES)["logged"] == ["cls", "ins"]
    without = grafana.dashboard(page, TITLES, logs=False)
    assert "Logs" not in {link["title"] for link in without["links"]}
    # All clusters at once, or all levels of alerts, are no choice that logs have.
    for uid in ("overview", "alerts"):
        assert "Logs" not in {link["title"] for link in MADE[uid]["links"]}


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


def test_sources_hold_no_secret():
    meta = {"host": "10.1.1.1", "port": 5432, "database": "meta", "user": "dbuser_view"}
    spec = {"prometheus": "http://127.0.0.1:9090/prometheus", "interval": "10s", "meta": meta}
    read = grafana.sources(spec)
    assert [source["uid"] for source in read] == [grafana.PROMETHEUS, grafana.META]
    assert read[1]["secureJsonData"] == {"password": "$PIGSTY_META_PASSWORD"}
    alone = grafana.sources({**spec, "meta": None})
    assert [source["uid"] for source in alone] == [grafana.PROMETHEUS]


def spec(compiled, made, ip="10.1.1.1"):
    return compiled(made, ip)["infra"]["grafana"]


def by_path(daemon):
    return {file.path: file for file in daemon.files}


def test_grafana_is_told_its_secrets_in_a_file_that_root_alone_reads(deployment, compiled):
    found = spec(compiled, deployment(grafana_admin_password="'a b$\"c'"))
    daemon = grafana.daemon(found)
    assert (daemon.unit, daemon.running) == ("grafana-server.service", True)
    files = by_path(daemon)
    secret = files.pop(grafana.ENVIRONMENT)
    assert (secret.mode, secret.secret) == ("0600", True)
    assert 'GF_SECURITY_ADMIN_PASSWORD="a b\\$\\"c"' in secret.contents
    assert 'GF_SERVER_HTTP_ADDR="127.0.0.1"' in secret.contents
    assert 'GF_SERVER_ROOT_URL="https://i.pigsty/ui/"' in secret.contents
    assert not any("a b" in file.contents for file in files.values())
    (provider,) = json.loads(
        files[f"{grafana.PROVISIONING}/dashboards/pigsty.yml"].contents.removeprefix(BANNER)
    )["providers"]
    assert provider["options"]["path"] == grafana.FOLDER
    assert {file.path for file in grafana.files(PAGES, logs=True)} == {
        f"{grafana.FOLDER}/{page.uid}.json" for page in PAGES
    }


def test_an_open_password_is_the_same_at_every_look(deployment, compiled):
    first, second = (spec(compiled, deployment())["password"] for _ in range(2))
    assert first == second
    assert len(first) == 24


def test_what_is_off_has_no_secret_and_no_path(deployment, compiled):
    made = deployment(grafana_enabled="false", grafana_admin_password="x")
    assert spec(compiled, made) == {
        "enabled": False, "package": "grafana", "unit": "grafana-server",
    }  # fmt: skip
    assert not grafana.daemon(spec(compiled, made)).running
    assert "location /ui/" not in nginx.config(compiled(made, "10.1.1.1")["infra"]["nginx"])


def test_the_meta_database_is_a_source_where_its_reader_has_a_password(compiled, tmp_path):
    def made(user, **variables):
        lines = "".join(f"    {key}: {value}\n" for key, value in variables.items())
        file = tmp_path / "pigsty.yml"
        file.write_text(
            f"all:\n  vars:\n    admin_ip: 10.1.1.1\n{lines}  children:\n"
            "    infra: { hosts: { 10.1.1.1: { infra_seq: 1 } } }\n"
            "    etcd: { hosts: { 10.1.1.1: { etcd_seq: 1 } }, vars: { etcd_cluster: etcd } }\n"
            "    pg-meta: { hosts: { 10.1.1.1: { pg_seq: 1, pg_role: primary } },\n"
            f"      vars: {{ pg_cluster: pg-meta, pg_users: [{user}],\n"
            "      pg_databases: [{ name: meta }] } }\n"
        )
        return spec(compiled, topology.build(inventory.load(file)))["meta"]

    assert made("{ name: dbuser_view, password: p }") == {
        "host": "10.1.1.1", "port": 5432, "database": "meta",
        "user": "dbuser_view", "password": "p",
    }  # fmt: skip
    own = made("{ name: dbuser_view }", grafana_view_password="q")
    assert own["password"] == "q"
    assert made("{ name: dbuser_view }") is None
    assert made("{ name: other, password: p }") is None


def test_grafana_asks_for_its_own_password(deployment, compiled):
    found = compiled(deployment(nginx_users="{ ann: secret }"), "10.1.1.1")["infra"]["nginx"]
    block = nginx.config(found).split("location /ui/ {")[1].split("\n    }")[0]
    assert "proxy_pass http://127.0.0.1:3000;" in block
    assert "auth_basic" not in block
    assert 'proxy_set_header Connection "upgrade";' in block


class Node:
    """A node whose package sources and units are made up."""

    def __init__(self, minion, infra):
        self.minion, self.installed, self.offered, self.done = minion, "", "11.1", False
        minion.pillar["pigsty"] = {"infra": infra}
        minion.salt |= {
            "pkg.version": lambda _name: self.installed,
            "pkg.latest_version": self.latest,
            "pkg.install": self.install,
            "pigsty_daemon.plan": lambda daemons, files: (
                {} if self.done else {daemon.unit: {"active": {}} for daemon in daemons}
            ),
            "pigsty_daemon.enact": self.enact,
        }

    def latest(self, name, refresh):
        """Answer as Salt 3008 does, and not look around for it."""
        assert refresh is False
        return {name: "" if self.installed else self.offered}

    def install(self, name, **options):
        assert options == {"install_recommends": False, "refresh": False}
        self.installed = self.offered

    def enact(self, daemons, files, changes):
        self.done = True

    def run(self, test=False):
        self.minion.opts["test"] = test
        return self.minion.load("_states", "pigsty_grafana").managed("infra-grafana")


@pytest.fixture
def node(minion, compiled, deployment):
    return Node(minion, compiled(deployment(), "10.1.1.1")["infra"])


def test_grafana_is_installed_where_a_source_has_it_and_then_left_alone(node):
    tried = node.run(test=True)
    assert (tried["result"], node.installed) == (None, "")
    done = node.run()
    assert done["result"] is True
    assert done["changes"] == tried["changes"]
    assert done["changes"]["grafana"] == {"old": "", "new": "installed"}
    assert node.run()["changes"] == {}


def test_without_its_package_nothing_is_done_and_said_so(node):
    node.offered = ""
    done = node.run()
    assert (done["result"], done["changes"]) == (True, {})
    assert "no source has the package grafana" in done["comment"]
