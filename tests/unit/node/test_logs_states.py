"""States of the logs: what sends those of a node, and what keeps them on an infra node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pigsty.render import logs

STORE = ("pigsty-logs.service", "systemd-journal-remote.service", "systemd-journal-remote.socket")
INFRA = [{"name": "infra-1", "ip": "10.1.1.1"}, {"name": "infra-2", "ip": "10.1.1.4"}]
ROW = {"ip": "10.1.1.1", "node": "a", "source": "127.1.1.1",
       "names": [{"module": "node", "cls": "nodes", "ins": "a"}]}  # fmt: skip


@pytest.fixture
def state(machine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The states on a machine that has the packages."""
    daemons = machine.module("_modules", "pigsty_daemon")
    machine.salt |= {"pigsty_daemon.plan": daemons.plan, "pigsty_daemon.enact": daemons.enact}
    machine.salt["cmd.run_all"] = lambda *_, **__: {"retcode": 0}
    machine.node(logs={"files": [["nginx", "/var/log/nginx/*.log"]], "infra": INFRA})
    spec = {"cap": 1 << 50, "enabled": True, "folder": "/data/logs", "hosts": [ROW], "port": 9428,
            "retention": "15d"}  # fmt: skip
    machine.pillar["pigsty"]["infra"] = {"logs": spec}
    for name in ("infra-1", "infra-2"):
        machine.units.install(f"{logs.UPLOAD}{name}.service")
    for unit in (logs.FORWARDER, *STORE):
        machine.units.install(unit)
    machine.units.install("nginx.service", active="active", enabled="enabled")
    monkeypatch.setattr(logs, "UNITS", str(tmp_path))
    return machine.module("_states", "pigsty_logs")


def test_a_node_sends_to_every_infra_node(machine, state):
    changes = machine.converges(state.sent)
    for unit in (logs.FORWARDER, "pigsty-upload-infra-1.service", "pigsty-upload-infra-2.service"):
        assert changes[unit]["active"]["new"] == "active"
        assert changes[unit]["enabled"]["new"] == "enabled"


def test_an_infra_node_that_is_gone_is_sent_nothing_more(machine, state, tmp_path):
    machine.converges(state.sent)
    gone = tmp_path / "pigsty-upload-infra-2.service"
    gone.write_text("[Unit]\n")
    machine.node(logs={"files": [["nginx", "/var/log/nginx/*.log"]], "infra": INFRA[:1]})
    machine.opts["test"] = True
    trial = state.sent("state")
    assert trial["changes"] == {gone.name: {"old": "sends", "new": "removed"}}
    assert gone.exists()
    machine.opts["test"] = False
    first = state.sent("state")
    assert (first["result"], first["changes"]) == (True, trial["changes"]), first["comment"]
    assert ("disable", "--now") in machine.units.done
    assert not gone.exists()
    assert state.sent("state")["changes"] == {}


def test_a_node_that_sends_nothing_has_nothing_running(machine, state):
    machine.converges(state.sent)
    machine.node(logs={"files": [], "infra": []})
    changes = machine.converges(state.sent)
    assert changes[logs.FORWARDER]["active"]["new"] == "inactive"


def test_an_infra_node_keeps_logs_and_nginx_is_told_once(machine, state):
    changes = machine.converges(state.kept)
    assert {*STORE, "nginx.service", logs.NGINX, logs.HOSTS, logs.AGING} <= set(changes)
    assert changes["nginx.service"]["configuration"]["new"] == "reload"
    assert machine.units.done.count(("reload", "nginx.service")) == 1
    assert "127.1.1.1" in machine.files.texts[logs.NGINX]
    assert "class Query" in machine.files.texts[f"{logs.LIBRARY}/pigsty/logs.py"]


def test_a_host_more_is_no_restart_of_what_keeps_logs(machine, state):
    machine.converges(state.kept)
    machine.units.done.clear()
    other = {**ROW, "ip": "10.1.1.2", "source": "127.1.1.2"}
    spec = machine.pillar["pigsty"]["infra"]["logs"]
    # The cap is far: what one file may take stays the same for one host more.
    machine.pillar["pigsty"]["infra"]["logs"] = {**spec, "hosts": [ROW, other]}
    changes = machine.converges(state.kept)
    assert {logs.NGINX, logs.HOSTS} <= set(changes)
    assert "pigsty-logs.service" not in changes


def test_what_nginx_refuses_is_taken_back(machine, state):
    machine.files.texts[logs.NGINX] = "old"
    machine.salt["cmd.run_all"] = lambda *_, **__: {"retcode": 1, "stderr": "unknown directive"}
    done = state.kept("state")
    assert done["result"] is False
    assert "nginx refuses its configuration: unknown directive" in done["comment"]
    assert machine.files.texts[logs.NGINX] == "old"


def test_the_logs_never_take_most_of_the_disk(state, tmp_path):
    import os

    status = os.statvfs(tmp_path)
    assert state._cap(str(tmp_path / "not" / "there"), 1 << 60) == (
        status.f_blocks * status.f_frsize // 5
    )
    assert state._cap(str(tmp_path), 1000) == 1000


def test_an_infra_node_that_keeps_none_stops_and_shuts_the_door(machine, state, monkeypatch, tmp_path):  # fmt: skip # noqa: E501
    door = tmp_path / "pigsty-logs.conf"
    monkeypatch.setattr(logs, "NGINX", str(door))
    machine.converges(state.kept)
    door.write_text("x")
    spec = machine.pillar["pigsty"]["infra"]["logs"]
    machine.pillar["pigsty"]["infra"]["logs"] = {**spec, "enabled": False}
    machine.opts["test"] = False
    changes = state.kept("state")["changes"]
    assert all(changes[unit]["active"]["new"] == "inactive" for unit in STORE)
    assert str(door) not in machine.files.texts


def test_a_systems_rsyslog_is_masked_before_its_package_comes_and_never_touched_later(
    machine, state, monkeypatch, tmp_path
):
    program, mask = tmp_path / "rsyslogd", tmp_path / "rsyslog.service"
    monkeypatch.setattr(state, "_PROGRAM", str(program))
    monkeypatch.setattr(state, "_MASK", mask)
    changes = machine.converges(state.guarded)
    assert changes == {"rsyslog.service": {"old": "absent", "new": "masked"}}
    assert str(mask.readlink()) == "/dev/null"
    mask.unlink()
    program.touch()
    assert machine.converges(state.guarded) == {}
    assert not mask.is_symlink()
