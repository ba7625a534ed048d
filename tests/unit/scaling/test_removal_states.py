"""A member that is removed: stopped, deleted, forgotten; on a machine made of data and a folder."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from pigsty import platform
from pigsty.pillar import pgsql
from pigsty.pillar.site import Site
from pigsty.render import record
from pigsty.render.record import Record

ROOT = Path(__file__).resolve().parents[3]
NAME = "pg-test-1"


def load(kind, name, salt, test=False):
    spec = importlib.util.spec_from_file_location(
        f"{kind}.{name}", ROOT / f"extmods/{kind}/{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__salt__, module.__opts__ = salt, {"test": test}
    return module


class Machine:
    """Files and units in memory; folders below a temporary one."""

    def __init__(self, own):
        self.own = own
        self.texts = {record.PATH: own.text(), own.patroni_config: "secret"}
        self.texts["/etc/cron.d/pigsty-pgsql"] = "0 1 * * * postgres pg-backup\n"
        self.services = {"pg-test-primary.cfg": "# Owner: pgsql\n", "other.cfg": "# Owner: node\n"}
        unit = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
        self.units = {own.patroni_unit: dict(unit), own.pgbouncer_unit: dict(unit)}
        self.units["haproxy.service"] = dict(unit)
        self.acts = []
        self.salt = {
            "pigsty_file.read": self.texts.get,
            "pigsty_file.changes": lambda files: {
                f.path: {} for f in files if f.path in self._all()
            },
            "pigsty_file.converge": self._converge,
            "pigsty_systemd.show": lambda *units: {u: self.units.get(u, {}) for u in units},
            "pigsty_systemd.act": self._act,
            "pigsty_haproxy.present": lambda: dict(self.services),
            "pigsty_haproxy.reload": lambda: self.acts.append(("reload", "haproxy")),
            "cmd.run_all": self._run,
        }
        self.salt["pigsty_systemd.plan"] = load("_modules", "pigsty_systemd", self.salt).plan
        self.module = load("_modules", "pigsty_removal", self.salt)
        for name in ("of", "units", "leads", "postmaster", "schedule", "routes", "halt", "files",
                     "folders", "delete", "stanza", "delete_stanza"):  # fmt: skip
            self.salt[f"pigsty_removal.{name}"] = getattr(self.module, name)
        self.salt["pigsty_removal.leads"] = lambda own: self.leading
        self.leading = False
        self.commands = []

    def _all(self):
        return {*self.texts, *(f"/etc/haproxy/conf.d/{name}" for name in self.services)}

    def _converge(self, files):
        for file in files:
            self.texts.pop(file.path, None)
            self.services.pop(Path(file.path).name, None)

    def _act(self, verb, *units):
        self.acts.append((verb, units[-1] if units else ""))
        if verb == "stop":
            self.units[units[-1]]["ActiveState"] = "inactive"
        if verb == "disable":
            self.units[units[-1]]["UnitFileState"] = "disabled"

    def _run(self, command, **_):
        self.commands.append(command[2:])
        return {"retcode": 0, "stdout": "[]", "stderr": ""}

    def states(self, test=False):
        return load("_states", "pigsty_removal", self.salt, test)


@pytest.fixture
def own(deployment, tmp_path):
    """The record of a member whose folders are below a temporary one, with data in them."""
    found = deployment()
    spec = pgsql.pillar(
        found, found.nodes["10.1.1.11"], Site(key=b"k" * 32, ca=""), platform.load()
    )
    data = Record.of(spec)
    main, home = tmp_path / "data/pg-test-17", tmp_path / "pg"
    (main / "data/pg_tblspc").mkdir(parents=True)
    (main / "data/base").write_bytes(b"x" * 10000)
    home.symlink_to(main)
    space = tmp_path / "space"
    (space / "PG_17_202406281").mkdir(parents=True)
    (space / "of-others").mkdir()
    (main / "data/pg_tblspc/16400").symlink_to(space)
    repository = tmp_path / "backup"
    for kind in ("archive", "backup"):
        (repository / kind / "pg-test").mkdir(parents=True)
    changed = {"main": str(main), "home": str(home), "data": f"{home}/data",
               "repository": str(repository), "link": ""}  # fmt: skip
    from dataclasses import replace

    return replace(data, **changed)


@pytest.fixture
def machine(own):
    return Machine(own)


def test_daemons_are_stopped_clients_first_and_nothing_restarts_them(machine, own):
    preview = machine.states(test=True).stopped(NAME)
    assert preview["result"] is None and machine.acts == []
    done = machine.states().stopped(NAME)
    assert done["result"] is True and done["changes"] == preview["changes"]
    stops = [unit for verb, unit in machine.acts if verb == "stop"]
    assert stops == [own.pgbouncer_unit, own.patroni_unit]
    assert machine.units[own.patroni_unit]["UnitFileState"] == "disabled"
    assert ("reload", "haproxy") in machine.acts
    assert machine.services == {"other.cfg": "# Owner: node\n"}, "only the cluster's own went"
    assert "/etc/cron.d/pigsty-pgsql" not in machine.texts
    assert machine.states().stopped(NAME)["changes"] == {}


def test_a_member_that_leads_by_now_is_not_stopped(machine):
    machine.leading = True
    ret = machine.states().stopped(NAME)
    assert ret["result"] is False and "leads pg-test" in ret["comment"]
    assert machine.acts == []
    assert machine.states().stopped(NAME, last=True)["result"] is True


def test_another_members_machine_is_not_touched(machine):
    for state in ("stopped", "deleted", "forgotten"):
        ret = getattr(machine.states(), state)("pg-test-2")
        assert ret["result"] is False and "pg-test-1 lives here" in ret["comment"]
    assert machine.acts == []


def test_data_go_with_their_tablespaces_and_backups_stay(machine, own, tmp_path):
    preview = machine.states(test=True).deleted(NAME)
    done = machine.states().deleted(NAME)
    assert done["result"] is True and done["changes"] == preview["changes"]
    assert not Path(own.main).exists() and not os.path.lexists(own.home)
    assert [path.name for path in (tmp_path / "space").iterdir()] == ["of-others"]
    assert Path(own.repository, "backup/pg-test").exists()
    assert own.patroni_config not in machine.texts
    assert machine.states().deleted(NAME)["changes"] == {}


def test_data_are_kept_where_that_is_said(machine, own):
    machine.states().deleted(NAME, data=False)
    assert Path(own.data, "base").exists() and Path(own.home).is_symlink()
    assert own.patroni_config not in machine.texts, "nothing starts it again"


def test_backups_of_this_machine_go_when_asked_for(machine, own):
    ret = machine.states().deleted(NAME, backups=True)
    assert ret["result"] is True
    assert not Path(own.repository, "backup/pg-test").exists()
    assert not Path(own.repository, "archive/pg-test").exists()


def test_the_record_goes_last_and_then_nothing_is_left_to_do(machine):
    assert machine.states().forgotten(NAME)["changes"] == {
        record.PATH: {"old": "there", "new": None}
    }
    for state in ("stopped", "deleted", "forgotten"):
        ret = getattr(machine.states(), state)(NAME)
        assert (ret["result"], ret["changes"]) == (True, {})
    assert machine.module.trace() is None


def test_a_machine_tells_whose_it_is_and_what_would_be_lost(machine, monkeypatch):
    assert machine.module.trace()["instance"] == NAME
    monkeypatch.setattr(machine.module, "_server", lambda own: {"clients": 3})
    found = machine.module.measure()
    assert found["data_bytes"] >= 10000 and found["clients"] == 3 and found["backups"] == []


def test_haproxy_tells_where_it_leads(monkeypatch):
    module = load("_modules", "pigsty_routes", {})
    said = (
        "# pxname,svname,qcur,status\n"
        "pg-test-primary,FRONTEND,,OPEN\npg-test-primary,pg-test-1,0,UP\n"
        "pg-test-primary,pg-test-3,0,DOWN\npg-test-replica,pg-test-3,0,UP 1/3\n"
        "pg-other-primary,pg-test-3,0,UP\n"
    )
    monkeypatch.setattr(module, "_ask", lambda command: said)
    found = module.await_up(["pg-test-1", "pg-test-3", "pg-test-9"], "pg-test-")
    assert found == {"pg-test-1": ["pg-test-primary"], "pg-test-3": ["pg-test-replica"]}
