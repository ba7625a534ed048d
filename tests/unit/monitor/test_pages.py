"""The portal's own pages: what is written for them, their static files, and how they get there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pigsty.dashboards import PAGES, model
from pigsty.dashboards.common import GROUPS
from pigsty.render import nginx, portal

STATIC = Path(__file__).resolve().parents[3] / "states/infra/portal"
SCRIPTS = sorted((STATIC / "js").glob("*.js"))
HTML = sorted(STATIC.glob("*.html"))


def made(compiled, deployment, **variables):
    infra = compiled(deployment(**variables), "10.1.1.1")["infra"]
    return portal.files(PAGES, portal.site(infra))


def test_every_page_has_a_file_and_hidden_ones_are_not_in_the_menu(compiled, deployment):
    files = made(compiled, deployment)
    assert {f"pages/{page.uid}.json" for page in PAGES} == set(files) - {"menu.json", "site.json"}
    menu = json.loads(files["menu.json"])
    assert [group["title"] for group in menu] == list(GROUPS)
    shown = [page["uid"] for group in menu for page in group["pages"]]
    assert shown == [page.uid for page in PAGES if not page.hidden]
    assert "pgsql-query" not in shown


def test_a_page_says_what_its_panels_ask_and_where_they_lead(compiled, deployment):
    page = json.loads(made(compiled, deployment)["pages/pgsql-cluster.json"])
    panels = {panel["title"]: panel for row in page["rows"] for panel in row["panels"]}
    members = panels["Members"]
    assert members["keys"][0]["link"]["to"] == "pgsql-instance"
    assert len(members["queries"]) == len(members["columns"])
    assert members["columns"][0] == {"label": "ip", "title": "Address", "unit": "number"}
    assert panels["Pressure"]["limits"] == {"warn": 0.7, "bad": 0.9}
    assert panels["Pressure"]["programs"] == ["postgres"]
    assert panels["Leader"]["empty"] == "Nobody leads."
    assert page["links"][0] == {"to": "pgsql-overview", "carry": {}, "title": "PostgreSQL"}


def test_the_same_definitions_make_the_same_files(compiled, deployment):
    assert made(compiled, deployment) == made(compiled, deployment)


def test_the_home_page_knows_what_the_infra_node_has(compiled, deployment):
    site = json.loads(made(compiled, deployment)["site.json"])
    assert [program["path"] for program in site["programs"]] == [
        "/prometheus/", "/alertmgr/", "/blackbox/", "/pushgateway/",
    ]  # fmt: skip
    assert site["repository"] == "/pigsty/"
    assert site["machines"]
    own = '{ wiki: { domain: w.example, endpoint: "10.1.1.9:80" } }'
    site = json.loads(made(compiled, deployment, infra_portal=own)["site.json"])
    assert site["sites"] == [{"address": "https://w.example/"}]


@pytest.mark.parametrize("file", HTML, ids=lambda file: file.name)
def test_a_page_loads_files_that_exist_and_holds_no_script(file):
    text = file.read_text("utf-8")
    assert not re.search(r"\son\w+\s*=|javascript:|\sstyle\s*=|<style", text)
    scripts = re.findall(r"<script([^>]*)>([^<]*)</script>", text)
    assert scripts
    assert all("src=" in tag and not body for tag, body in scripts)
    for path in re.findall(r'(?:src|href)="/portal/([^"]+)"', text):
        assert (STATIC / path).is_file(), path


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_a_script_makes_no_markup_of_texts_and_imports_what_exists(file):
    text = file.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert 'setAttribute("style"' not in text
    for path in re.findall(r'from "\./([^"]+)"', text):
        assert (file.parent / path).is_file(), path


@pytest.mark.parametrize("file", HTML, ids=lambda file: file.name)
def test_modules_of_a_page_are_fetched_at_once(file):
    """Else a browser learns of each only when it has read the one before."""
    text = file.read_text("utf-8")
    (entry,) = re.findall(r'src="/portal/js/([^"]+)" type="module"', text)
    needed, todo = set(), [entry]
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo += re.findall(r'from "\./([^"]+)"', (STATIC / "js" / name).read_text("utf-8"))
    fetched = set(re.findall(r'rel="modulepreload" href="/portal/js/([^"]+)"', text))
    assert needed - {entry} <= fetched


def test_every_kind_unit_and_width_is_known_to_the_pages():
    dashboard = (STATIC / "js/dashboard.js").read_text("utf-8")
    units = (STATIC / "js/units.js").read_text("utf-8")
    sheet = (STATIC / "portal.css").read_text("utf-8")
    for kind in model.Kind.__args__:
        assert f"{kind}: " in dashboard
    for unit in model.Unit.__args__:
        assert unit == "number" or f'case "{unit}"' in units, unit
    for panel in (panel for page in PAGES for panel in page.panels()):
        assert panel.width == 4 or f".w{panel.width} " in sheet


def test_what_others_wrote_is_there_with_its_licence():
    names = {file.name for file in (STATIC / "vendor").iterdir()}
    assert names == {"uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"}
    assert "MIT" in (STATIC / "vendor/uPlot.LICENSE").read_text("utf-8")


def test_nginx_keeps_no_record_of_searches_that_they_would_find(compiled, deployment):
    text = nginx.config(compiled(deployment(), "10.1.1.1")["infra"]["nginx"])
    for path, silent in (("/logs/api/", True), ("/prometheus/", False)):
        block = text.split(f"location {path} {{")[1].split("\n    }")[0]
        assert ("access_log off;" in block) == silent


def test_the_pages_may_only_ask_their_own_server(compiled, deployment):
    text = nginx.config(compiled(deployment(), "10.1.1.1")["infra"]["nginx"])
    for path in ("= /", "/portal/"):
        block = text.split(f"location {path} {{")[1].split("\n    }")[0]
        (policy,) = re.findall(r'Content-Security-Policy "([^"]+)"', block)
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
        assert "auth_basic" not in block
    assert "location / { autoindex on; }" in text
    found = compiled(deployment(nginx_users="{ ann: secret }"), "10.1.1.1")["infra"]["nginx"]
    text = nginx.config(found)
    assert 'auth_basic "Pigsty";' in text.split("location /portal/ {")[1].split("\n    }")[0]


class Portal:
    """The portal's folder on a minion whose master has two static files."""

    def __init__(self, minion, pillar):
        pillar["infra"]["nginx"]["home"] = str(minion.folder)
        minion.pillar["pigsty"] = pillar
        self.minion = minion
        self.folder = minion.folder / "portal"
        self.source = minion.folder / "cache/files/base/infra/portal"
        (self.source / "js").mkdir(parents=True)
        (self.source / "index.html").write_text("<title>one</title>")
        (self.source / "js/home.js").write_text("one\n")
        minion.salt["cp.cache_dir"] = lambda _url: [
            str(path) for path in sorted(self.source.rglob("*")) if path.is_file()
        ]
        minion.salt["pkg.version"] = lambda _name: ""
        module = minion.load("_modules", "pigsty_portal")
        minion.salt |= {f"pigsty_portal.{n}": getattr(module, n) for n in ("sources", "stale")}

    def run(self, test=False):
        self.minion.opts["test"] = test
        return self.minion.load("_states", "pigsty_portal").managed("infra-portal")


@pytest.fixture
def pages(minion, compiled, deployment, monkeypatch):
    monkeypatch.setattr(
        "pigsty.render.files.File.__init__.__defaults__", ("0644", minion.user, minion.group, False)
    )
    monkeypatch.setattr(
        "pigsty.render.files.Directory.__init__.__defaults__", ("0755", minion.user, minion.group)
    )
    return Portal(minion, compiled(deployment(), "10.1.1.1"))


def test_the_pages_are_brought_and_then_left_alone(pages):
    tried = pages.run(test=True)
    assert tried["result"] is None
    assert not pages.folder.exists()
    done = pages.run()
    assert done["result"] is True
    assert done["changes"] == tried["changes"]
    assert done["changes"][str(pages.folder / "index.html")] == {"diff": "made"}
    assert (pages.folder / "js/home.js").read_text() == "one\n"
    assert json.loads((pages.folder / "menu.json").read_text())
    assert pages.run()["changes"] == {}


def test_a_newer_release_replaces_and_removes(pages):
    pages.run()
    (pages.source / "js/home.js").write_text("two\n")
    (pages.folder / "js/old.js").write_text("gone\n")
    changes = pages.run()["changes"]
    assert changes == {
        str(pages.folder / "js/home.js"): {"diff": "other contents"},
        str(pages.folder / "js/old.js"): {"diff": "removed"},
    }
    assert not (pages.folder / "js/old.js").exists()


def test_a_master_without_the_files_is_told_of(pages):
    (pages.source / "index.html").unlink()
    done = pages.run()
    assert done["result"] is False
    assert "the master has no files in infra/portal" in done["comment"]
