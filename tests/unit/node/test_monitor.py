"""States of the monitoring: exporters, targets, Prometheus with rules and routes of people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pigsty import pki
from pigsty.pillar import monitoring
from pigsty.render import exporters, prometheus
from pigsty.render.daemon import Daemon, drop_in
from pigsty.render.files import BANNER, File

NODE = "prometheus-node-exporter.service"


def spec(**changed: Any) -> dict[str, Any]:
    node = {"options": "", "path": "/metrics", "port": 9100}
    found = {
        "certificates": {},
        "exporters": {"node": node},
        "idle": [],
        "ip": "10.10.10.11",
        "programs": {"node": "prometheus-node-exporter"},
        "remote": {},
        "tls": False,
    }
    return {**found, **changed}


@pytest.fixture
def state(machine: Any) -> Any:
    """The state of the exporters on a machine that has the package."""
    daemons = machine.module("_modules", "pigsty_daemon")
    machine.salt["pigsty_daemon.plan"] = daemons.plan
    machine.salt["pigsty_daemon.enact"] = daemons.enact
    machine.units.install(NODE, active="active", enabled="enabled")
    machine.node(monitor=spec())
    return machine.module("_states", "pigsty_daemon")


def test_an_exporter_is_restarted_with_its_options_and_then_left_alone(machine, state):
    changes = machine.converges(state.exporters_managed)
    assert changes[NODE]["configuration"]["new"] == "restart"
    assert machine.units.done == [("daemon-reload", ""), ("restart", NODE)]


def test_a_stopped_exporter_is_started_and_not_restarted_as_well(machine, state):
    machine.units.install(NODE)
    changes = machine.converges(state.exporters_managed)
    assert changes[NODE]["active"] == {"old": "inactive", "new": "active"}
    assert ("restart", NODE) not in machine.units.done


def test_a_restart_that_a_killed_apply_owes_is_made_up_for(machine, state):
    machine.converges(state.exporters_managed)
    machine.units.owe(NODE, "restart")
    changes = machine.converges(state.exporters_managed)
    assert list(changes) == [NODE]
    assert machine.units.done[-1] == ("restart", NODE)


def test_an_exporter_that_is_off_is_stopped_and_its_files_stay(machine, state):
    machine.converges(state.exporters_managed)
    files = dict(machine.files.texts)
    machine.node(monitor=spec(exporters={"node": None}))
    changes = machine.converges(state.exporters_managed)
    assert changes[NODE]["active"]["new"] == "inactive"
    assert machine.files.texts == files


def test_the_end_of_a_certificate_becomes_a_metric(machine, state):
    _key, cert = pki.create_ca("x", 30)
    machine.files.texts["/etc/etcd/server.crt"] = cert.decode()
    machine.node(monitor=spec(certificates={"etcd": "/etc/etcd/server.crt", "infra": "/gone"}))
    machine.converges(state.exporters_managed)
    text = machine.files.texts[exporters.CERTIFICATES]
    assert text.count("\npigsty_certificate_end{") == 1
    assert 'role="etcd"' in text


def test_a_reload_is_enough_for_what_is_read_again(machine, state):
    unit = drop_in("x.service", "[Service]")
    daemon = Daemon("x.service", restart=(unit,), reload=(File("/etc/x", "old"),))
    machine.units.install("x.service", active="active", enabled="enabled")
    plan, enact = machine.salt["pigsty_daemon.plan"], machine.salt["pigsty_daemon.enact"]
    enact([daemon], [], plan([daemon]))
    machine.units.done.clear()
    newer = Daemon("x.service", restart=(unit,), reload=(File("/etc/x", "new"),))
    changes = plan([newer])
    assert changes["x.service"]["configuration"]["new"] == "reload"
    enact([newer], [], changes)
    assert machine.units.done == [("reload", "x.service")]
    assert plan([newer]) == {}


@pytest.fixture
def watch(machine: Any, tmp_path: Path) -> Any:
    """The module that judges what people wrote; promtool complains of what holds ``bad``."""
    machine.salt["cmd.run_all"] = lambda command, python_shell: {
        "retcode": int("bad" in Path(command[-1]).read_text()),
        "stdout": "  FAILED: that is bad",
        "stderr": "",
    }
    real = machine.files.read
    machine.salt["pigsty_file.read"] = lambda path: (
        real(path) if not Path(path).is_file() else Path(path).read_text()
    )
    for folder in ("rules", "conf", "targets/node"):
        (tmp_path / folder).mkdir(parents=True)
    return machine.module("_modules", "pigsty_monitoring")


def test_a_bad_rule_file_is_refused_and_the_good_ones_are_used(watch, tmp_path):
    (tmp_path / "rules/mine.yml").write_text("groups: []")
    (tmp_path / "rules/wrong.yml").write_text("bad")
    good, bad = watch.own_rules(str(tmp_path))
    assert good == {"own-mine.yml": "groups: []"}
    assert bad == {str(tmp_path / "rules/wrong.yml"): "FAILED: that is bad"}


def test_what_was_in_use_stays_when_its_file_goes_bad(watch, machine, tmp_path):
    (tmp_path / "rules/mine.yml").write_text("bad")
    machine.files.texts[f"{prometheus.RULES}/own-mine.yml"] = "good"
    good, bad = watch.own_rules(str(tmp_path))
    assert good == {"own-mine.yml": "good"}
    assert len(bad) == 1
    (tmp_path / "conf/alertmanager.yml").write_text("bad")
    machine.files.texts[prometheus.ALERTMANAGER] = "route: mine"
    assert watch.own_routes(str(tmp_path))[0] == "route: mine"
    machine.files.texts[prometheus.ALERTMANAGER] = prometheus.routes_default(None)
    text, bad = watch.own_routes(str(tmp_path))
    assert text is None
    assert len(bad) == 1


def test_without_a_file_of_people_the_default_routes_serve(watch, tmp_path):
    assert watch.own_routes(str(tmp_path)) == (None, {})


def test_only_our_own_target_files_leave_with_the_inventory(watch, tmp_path):
    folder = tmp_path / "targets/node"
    for name, text in (("old", f"{BANNER}\n- x"), ("kept", f"{BANNER}\n- y"), ("theirs", "- z")):
        (folder / f"{name}.yml").write_text(text)
    stale = watch.stale(str(tmp_path), {"node/kept.yml": ""})
    assert stale == [str(folder / "old.yml")]


def test_our_rules_are_there_for_the_pillar():
    assert set(monitoring.rules()) == {
        "pigsty-infra.yml",
        "pigsty-node.yml",
        "pigsty-pgsql.yml",
    }


@pytest.fixture
def was_infra(machine, state, tmp_path, monkeypatch):
    """A machine that was an infra node: units with our drop-ins, and the portal."""
    unit = "prometheus.service"
    machine.units.install(unit, active="active", enabled="enabled")
    machine.units.install("nginx.service", active="active", enabled="enabled")
    folder = tmp_path / "units"
    monkeypatch.setattr(state, "drop_in", lambda name: File(f"{folder}/{name}.conf", None))
    monkeypatch.setattr(state.nginx, "PORTAL", str(tmp_path / "pigsty.conf"))
    folder.mkdir()
    for path in (folder / f"{unit}.conf", tmp_path / "pigsty.conf"):
        path.write_text(BANNER)
        machine.files.texts[str(path)] = BANNER
    machine.node(monitor=spec(idle=[unit, "prometheus-alertmanager.service"]))
    return unit, tmp_path


def test_what_watched_stops_where_the_node_is_no_infra_node_any_more(machine, state, was_infra):
    unit, _folder = was_infra
    changes = machine.converges(state.exporters_managed)
    for name in (unit, "nginx.service"):
        assert changes[name]["active"] == {"old": "active", "new": "inactive"}
        assert changes[name]["enabled"] == {"old": "enabled", "new": "disabled"}
    assert "prometheus-alertmanager.service" not in changes


def test_its_targets_are_not_missed(machine, state, was_infra):
    machine.files.texts[exporters.TARGETS] = BANNER
    assert exporters.TARGETS in machine.converges(state.exporters_managed)
    assert machine.files.texts.get(exporters.TARGETS) is None


def test_its_keys_go_and_nobody_sees_them(machine, state, was_infra):
    keys = (prometheus.KEY, state.nginx.KEY)
    machine.files.texts.update(dict.fromkeys(keys, "SECRET"))
    changes = machine.converges(state.exporters_managed)
    assert set(keys) <= set(changes)
    assert "SECRET" not in str(changes)
    assert not [path for path in keys if machine.files.texts.get(path)]


def test_units_are_known_as_ours_until_they_have_stopped(machine, state, was_infra, monkeypatch):
    unit, folder = was_infra
    mark = str(folder / f"units/{unit}.conf")
    enact = state.__salt__["pigsty_daemon.enact"]

    def killed(*arguments: Any) -> None:
        enact(*arguments)
        assert mark in machine.files.texts
        raise OSError("killed")

    monkeypatch.setitem(state.__salt__, "pigsty_daemon.enact", killed)
    with pytest.raises(OSError, match="killed"):
        state.exporters_managed("exporters")
    assert mark in machine.files.texts


def test_a_server_that_nobody_watches_any_more_leaves_no_unit_and_no_password(
    machine, state, tmp_path, monkeypatch
):
    unit = "pg_exporter_rds-1.service"
    monkeypatch.setattr(exporters, "UNITS", str(tmp_path))
    (tmp_path / unit).write_text(BANNER)
    machine.units.install(unit, active="active", enabled="enabled")
    files = exporters.remote_files(unit)
    assert files == [f"{tmp_path}/{unit}", "/etc/prometheus/pg_exporter_rds-1.env"]
    machine.files.texts.update(dict.fromkeys(files, "password"))
    machine.node(monitor=spec())
    changes = machine.converges(state.exporters_managed)
    assert changes[unit]["active"] == {"old": "active", "new": "inactive"}
    assert not [path for path in files if machine.files.texts.get(path)]
    assert "password" not in str(changes)


def test_a_prometheus_of_somebody_else_goes_on(machine, state, was_infra):
    unit, folder = was_infra
    for path in (folder / "units").iterdir():
        path.unlink()
    (folder / "pigsty.conf").unlink()
    for path in list(machine.files.texts):
        if str(folder) in path:
            del machine.files.texts[path]
    changes = machine.converges(state.exporters_managed)
    assert unit not in changes
    assert "nginx.service" not in changes


def test_what_is_no_certificate_stops_nobody(machine, state):
    machine.files.texts["/etc/wiki.crt"] = "not a certificate"
    machine.node(monitor=spec(certificates={"portal wiki": "/etc/wiki.crt"}))
    changes = machine.converges(state.exporters_managed)
    assert exporters.CERTIFICATES not in changes
