"""Prometheus, Alertmanager and the prober: what they read."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from pigsty.dashboards import PAGES, model
from pigsty.metrics import DRIFT
from pigsty.render import prometheus
from pigsty.render.files import BANNER
from pigsty.render.targets import JOBS


def spec(compiled, made, ip="10.1.1.1"):
    return compiled(made, ip)["infra"]["monitoring"]


def read(text):
    assert text.startswith(BANNER)
    return json.loads(text.removeprefix(BANNER))


def test_every_job_finds_its_targets_by_files(deployment, compiled):
    config = read(prometheus.config(spec(compiled, deployment())))
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert tuple(jobs) == JOBS
    for name, job in jobs.items():
        (files,) = job["file_sd_configs"]
        assert files["files"] == [f"/infra/targets/{name}/*.yml"]
        assert files["refresh_interval"] == "5s"
        assert job["static_configs"] == [{"targets": []}], "a job that loses its last file lets go"
    assert config["global"]["scrape_interval"] == "10s"
    assert config["global"]["scrape_timeout"] == "8s"
    for name in ("etcd", "patroni"):
        assert jobs[name]["tls_config"]["cert_file"] == prometheus.CERTIFICATE


def test_everything_listens_on_the_loopback(deployment, compiled):
    for daemon in prometheus.daemons(spec(compiled, deployment()), {}):
        (unit,) = daemon.restart
        assert "--web.listen-address=127.0.0.1:" in unit.contents
        assert daemon.running


def test_the_prober_may_ping_whatever_its_package_did_to_the_program(deployment, compiled):
    unit = prometheus.daemons(spec(compiled, deployment()), {})[2].restart[0].contents
    lines = unit.splitlines()
    assert "AmbientCapabilities=CAP_NET_RAW" in lines
    # Together they make systemd mount everything without set-uid for it.
    assert {"NoNewPrivileges=yes", "ProtectSystem=strict"} <= set(lines)


def test_options_of_the_inventory_come_last(deployment, compiled):
    made = deployment(prometheus_options="--storage.tsdb.retention.time=3d")
    unit = prometheus.daemons(spec(compiled, made), {})[0].restart[0].contents
    assert unit.rstrip().endswith("--storage.tsdb.retention.time=3d")
    assert "--storage.tsdb.path=/data/infra/metrics" in unit
    elsewhere = spec(compiled, deployment(prometheus_data="/big/metrics"))
    assert elsewhere["prometheus"]["data"] == "/big/metrics"


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "blackbox", "pushgateway"])
def test_what_is_off_is_stopped(deployment, compiled, name):
    found = spec(compiled, deployment(**{f"{name}_enabled": "false"}))
    unit = f"{found['units'][name]}.service"
    (daemon,) = [d for d in prometheus.daemons(found, {}) if d.unit == unit]
    assert not daemon.running
    assert not daemon.files
    if name == "alertmanager":
        assert "alerting" not in read(prometheus.config(found))


def test_routes_of_people_take_the_place_of_ours(deployment, compiled):
    found = spec(compiled, deployment(), "10.1.1.4")
    default, own = (
        prometheus.daemons(found, {}, routes)[1].reload[-1] for routes in (None, "route: {}\n")
    )
    assert read(default.contents)["route"]["receiver"] == "nobody"
    # A receiver may hold a password.
    assert (own.contents, own.secret, own.mode) == ("route: {}\n", True, "0640")


def test_the_portal_is_what_alerts_link_to(deployment, compiled):
    assert spec(compiled, deployment())["url"] == "https://i.pigsty"
    made = deployment(infra_portal="{ home: { domain: p.example } }", nginx_ssl_port=8443)
    assert spec(compiled, made)["url"] == "https://p.example:8443"
    made = deployment(infra_portal="{}", nginx_sslmode="disable")
    assert spec(compiled, made)["url"] == "http://10.1.1.1"


def test_our_rules_come_with_the_pillar_of_infra_nodes_only(deployment, compiled):
    made = deployment()
    for ip in ("10.1.1.1", "10.1.1.4"):
        found = spec(compiled, made, ip)["rules"]
        assert sorted(found) == ["pigsty-infra.yml", "pigsty-node.yml", "pigsty-pgsql.yml"]
    assert "infra" not in compiled(made, "10.1.1.2")


def test_only_the_admin_node_is_believed_about_others(deployment, compiled):
    config = read(prometheus.config(spec(compiled, deployment())))
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert [name for name, job in jobs.items() if job.get("honor_labels")] == ["salt"]
    assert jobs["salt"]["params"] == {"collect[]": ["textfile"]}
    (kept,) = jobs["salt"]["metric_relabel_configs"]
    dropped = jobs["node"]["metric_relabel_configs"][-1]
    assert (kept["action"], dropped["action"]) == ("keep", "drop")
    assert kept["regex"] == dropped["regex"]
    assert {"pigsty_minion_connected", DRIFT} <= set(kept["regex"].split("|"))


def test_what_rules_and_pages_ask_of_nodes_is_kept(deployment, compiled):
    found = spec(compiled, deployment())
    config = read(prometheus.config(found))
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "node"]
    kept = re.compile(job["metric_relabel_configs"][0]["regex"])
    groups = [group for text in found["rules"].values() for group in yaml.safe_load(text)["groups"]]
    asked = [rule["expr"] for group in groups for rule in group["rules"]]
    panels = [panel for page in PAGES for panel in page.panels()]
    asked += [query.expr for panel in panels for query in panel.expressions()]
    names = {name for expr in asked for name in model.metrics(expr) if ":" not in name}
    of_nodes = {name for name in names if model.program(name) in ("node", "haproxy")}
    assert {"keepalived_up", "node_load1"} <= of_nodes
    assert {name for name in of_nodes if not kept.fullmatch(name)} == set()


def test_on_the_admin_node_the_event_bus_is_told(deployment, compiled):
    made = deployment()
    admin, other = (spec(compiled, made, ip) for ip in ("10.1.1.1", "10.1.1.4"))
    token, kept = prometheus.daemons(admin, {})[1].reload
    (receiver,) = read(kept.contents)["receivers"]
    assert receiver["webhook_configs"][0]["url"] == "http://127.0.0.1:4507/alerts"
    assert (
        token.path
        == receiver["webhook_configs"][0]["http_config"]["authorization"]["credentials_file"]
    )
    assert (token.secret, token.mode, token.group) == (True, "0640", "prometheus")
    assert token.contents == admin["events"]["token"]
    assert token.contents not in kept.contents
    # Other infra nodes have no event bus: nobody is told, and no token lies about.
    token, kept = prometheus.daemons(other, {})[1].reload
    assert read(kept.contents)["route"]["receiver"] == "nobody"
    assert token.contents is None
    assert other["events"] is None


def test_pushed_metrics_outlive_a_restart_and_come_through_the_portal(deployment, compiled):
    unit = prometheus.daemons(spec(compiled, deployment()), {})[-1].restart[0].contents
    assert "--persistence.file=/data/infra/push/metrics" in unit
    assert "--web.route-prefix=/pushgateway/" in unit
    config = read(prometheus.config(spec(compiled, deployment())))
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "infra"]
    assert "honor_labels" not in job, "who pushes can't speak for another"


def test_what_is_collected_is_sent_elsewhere_too(deployment, compiled):
    far = '["https://me:p%40ss@far.example/write?x=1", "http://10.1.1.9:9090/api/v1/write"]'
    found = spec(compiled, deployment(prometheus_remote_write=far))
    first, second = read(prometheus.config(found))["remote_write"]
    assert first == {
        "url": "https://far.example/write?x=1",
        "basic_auth": {"username": "me", "password": "p@ss"},
    }
    assert second == {"url": "http://10.1.1.9:9090/api/v1/write"}
    kept = prometheus.daemons(found, {})[0].reload[0]
    assert (kept.secret, kept.mode, kept.group) == (True, "0640", "prometheus")
    plain = prometheus.daemons(spec(compiled, deployment()), {})[0].reload[0]
    assert not plain.secret
    assert "remote_write" not in plain.contents
