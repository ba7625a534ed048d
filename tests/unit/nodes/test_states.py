"""The states and functions of machines that leave or are upgraded, over a machine in memory."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pigsty import departure
from pigsty.render import etcd as render
from pigsty.render import record

HOSTS = "127.0.0.1 localhost\n# BEGIN pigsty hosts\n10.1.1.1 pg-test-1\n# END pigsty hosts\n"


@pytest.fixture
def machine(minion: SimpleNamespace) -> SimpleNamespace:
    """A node with HAProxy and a clock of ours, files and units in memory."""
    loaded = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    minion.units = {unit: dict(loaded) for unit in ("haproxy.service", "chrony.service")}
    minion.texts = {
        "/etc/hosts": HOSTS,
        "/etc/systemd/system/haproxy.service.d/pigsty.conf": "x",
        "/etc/apt/sources.list.d/pigsty.sources": "x",
    }
    minion.commands = []

    def changes(files: Any) -> dict[str, Any]:
        return {f.path: {} for f in files if minion.texts.get(f.path) != f.contents}

    def converge(files: Any) -> None:
        for file in files:
            if file.contents is None:
                minion.texts.pop(file.path, None)
            else:
                minion.texts[file.path] = file.contents

    def act(verb: str, *units: str) -> None:
        minion.commands.append(" ".join((verb, *units)))

    def enact(planned: dict[str, Any]) -> None:
        for unit in planned:
            minion.units[unit] |= {"ActiveState": "inactive", "UnitFileState": "disabled"}

    minion.salt |= {
        "pigsty_file.read": minion.texts.get,
        "pigsty_file.changes": changes,
        "pigsty_file.converge": converge,
        "pigsty_systemd.show": lambda *units: {
            unit: minion.units.get(unit, {"LoadState": "not-found"}) for unit in units
        },
        "pigsty_systemd.plan": minion.load("_modules", "pigsty_systemd").plan,
        "pigsty_systemd.enact": enact,
        "pigsty_systemd.act": act,
        "cmd.retcode": lambda words, **_: minion.commands.append(" ".join(words)),
    }
    return minion


@pytest.fixture
def leaving(machine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The states of a departure on that machine."""
    module = machine.load("_modules", "pigsty_departure")
    # What the folder of drop-ins holds goes by the files in memory.
    monkeypatch.setattr(
        module,
        "drop_ins",
        lambda: (
            ["chrony.service.d"]
            + ["haproxy.service.d"]
            * ("/etc/systemd/system/haproxy.service.d/pigsty.conf" in machine.texts)
        ),
    )
    machine.salt["pigsty_departure.drop_ins"] = lambda: module.drop_ins()
    machine.salt["pigsty_departure.files"] = module.files
    return machine.load("_states", "pigsty_departure")


def test_our_daemons_stop_and_a_second_run_changes_nothing(
    machine: SimpleNamespace, leaving: Any
) -> None:
    machine.opts["test"] = True
    audit = leaving.stopped("x")
    assert audit["result"] is None and set(audit["changes"]) == {"haproxy.service"}
    machine.opts["test"] = False
    done = leaving.stopped("x")
    assert (done["result"], done["changes"]) == (True, audit["changes"])
    assert machine.units["chrony.service"]["ActiveState"] == "active"
    assert leaving.stopped("x")["changes"] == {}


def test_our_files_go_and_what_others_wrote_stays(machine: SimpleNamespace, leaving: Any) -> None:
    machine.opts["test"] = True
    audit = leaving.deleted("x")
    assert audit["result"] is None and machine.commands == []
    machine.opts["test"] = False
    done = leaving.deleted("x")
    assert (done["result"], done["changes"]) == (True, audit["changes"])
    assert machine.texts == {"/etc/hosts": "127.0.0.1 localhost\n"}
    assert "daemon-reload" in machine.commands
    assert leaving.deleted("x")["changes"] == {}


def test_drop_ins_of_others_are_none_of_ours(
    machine: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("a.service.d/pigsty.conf", "b.service.d/override.conf"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).touch()
    monkeypatch.setattr(departure, "DROP_INS", str(tmp_path))
    assert machine.load("_modules", "pigsty_departure").drop_ins() == ["a.service.d"]


def test_a_member_of_etcd_goes_with_its_data_and_its_configuration_last(
    machine: SimpleNamespace, tmp_path: Path
) -> None:
    data = tmp_path / "etcd"
    (data / "member").mkdir(parents=True)
    loaded = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    machine.units = {"etcd.service": loaded}
    machine.texts |= {render.CONF: f'data-dir: "{data}"\n', render.CERT: "x", render.PASSWORD: "s"}
    state = machine.load("_states", "pigsty_etcd")
    machine.opts["test"] = True
    audit = state.removed("x")
    assert audit["result"] is None and data.exists()
    machine.opts["test"] = False
    done = state.removed("x")
    assert (done["result"], set(done["changes"])) == (True, set(audit["changes"]))
    assert not data.exists() and render.CONF not in machine.texts
    assert machine.units["etcd.service"]["ActiveState"] == "inactive"
    assert state.removed("x")["changes"] == {}


@pytest.fixture
def upgrading(machine: SimpleNamespace) -> Any:
    """The functions of an upgrade, with newer packages in the sources."""
    machine.newer = {"postgresql-17": "17.6", "libpq5": "17.6", "bash": "5.3"}
    machine.installed = {"postgresql-17": "17.5"}
    machine.pillar["pigsty"]["pgsql"] = {"params": {"pg_version": 17}}

    def install(pkgs: list[str], **options: Any) -> None:
        assert options == {"only_upgrade": True, "refresh": False}
        machine.commands.append(f"install {' '.join(pkgs)}")
        for name in pkgs:
            machine.installed[name] = machine.newer.pop(name)

    machine.salt |= {
        "pkg.list_upgrades": lambda **_: dict(machine.newer),
        "pkg.version": lambda name: machine.installed.get(name, ""),
        "pkg.install": install,
        "pigsty_dpkg.await_others": lambda: machine.commands.append("await"),
        "pigsty_dpkg.half": lambda: {},
    }
    return machine.load("_modules", "pigsty_upgrade")


def test_only_postgresqls_packages_are_upgraded(machine: SimpleNamespace, upgrading: Any) -> None:
    assert upgrading.look() == {
        "installed": "17.5",
        "candidate": "17.6",
        "newer": ["libpq5", "postgresql-17"],
        "stale": False,
    }
    after = upgrading.install()
    assert (after["installed"], after["newer"]) == ("17.6", [])
    assert machine.commands == ["await", "install libpq5 postgresql-17"]
    assert "bash" in machine.newer
    machine.commands.clear()
    upgrading.install()
    assert machine.commands == ["await"]


def test_a_server_that_runs_from_a_replaced_file_waits_for_a_restart(
    machine: SimpleNamespace, upgrading: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = SimpleNamespace(data=str(tmp_path))
    monkeypatch.setattr(record.Record, "read", lambda _text: own)
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n/data\n")
    assert upgrading.look()["stale"] is False
    link = Path("/usr/lib/postgresql/17/bin/postgres (deleted)")
    monkeypatch.setattr(Path, "readlink", lambda _self: link)
    assert upgrading.look()["stale"] is True
    (tmp_path / "postmaster.pid").unlink()
    assert upgrading.look()["stale"] is False
