"""Packages that a run which was cut off has left behind."""

from __future__ import annotations

import fcntl
import subprocess
import sys

import pytest

from pigsty.render import dpkg

STATUS = """Package: whole
Status: install ok installed
Version: 1

Package: purged
Status: deinstall ok config-files

Package: held
Status: hold ok installed

Package: unpacked
Status: install ok unpacked

Package: broken
Status: install reinstreq half-installed

Package: waiting
Status: install ok triggers-pending
"""


def test_half_installed_packages_are_told_from_the_rest():
    assert dpkg.half(STATUS) == {
        "broken": "half-installed",
        "unpacked": "unpacked",
        "waiting": "triggers-pending",
    }


@pytest.mark.parametrize(("names", "cut_off"), [([], False), (["tmp.i"], False), (["0001"], True)])
def test_a_journal_means_that_a_run_was_cut_off(names, cut_off):
    assert bool(dpkg.half("", names)) is cut_off


@pytest.fixture
def state(machine):
    """The state on a machine whose packages a dictionary holds."""
    module = machine.module("_states", "pigsty_dpkg")
    module.packages = {"x": "unpacked"}
    module.waited = []
    machine.salt.update(
        {
            "pigsty_dpkg.half": lambda: dict(module.packages),
            "pigsty_dpkg.finish": module.packages.clear,
            "pigsty_dpkg.await_others": lambda: module.waited.append(True),
        }
    )
    return module


def test_what_is_half_installed_is_finished(machine, state):
    assert machine.converges(state.whole) == {"x": {"old": "unpacked", "new": "installed"}}
    assert state.waited == [True]


def test_a_run_that_ends_while_we_wait_leaves_nothing_to_do(machine, state):
    machine.salt["pigsty_dpkg.await_others"] = state.packages.clear
    machine.salt["pigsty_dpkg.finish"] = lambda: pytest.fail("nothing was left to finish")
    assert state.whole("s")["result"] is True


def test_what_cannot_be_finished_is_a_failure(machine, state):
    machine.salt["pigsty_dpkg.finish"] = lambda: None
    ret = state.whole("s")
    assert ret["result"] is False and "x" in ret["comment"]


def test_a_machine_without_dpkg(loader, monkeypatch, tmp_path):
    module = loader("_modules", "pigsty_dpkg")
    monkeypatch.setattr(module.dpkg, "STATUS", str(tmp_path / "none"))
    assert module.half() == {}


def test_another_program_holds_the_lock(loader, monkeypatch, tmp_path):
    module = loader("_modules", "pigsty_dpkg")
    lock = tmp_path / "lock"
    lock.touch()
    monkeypatch.setattr(module, "_LOCKS", (str(lock), str(tmp_path / "no/such")))
    assert module._unlocked() is True
    # A lock of the same process would not count.
    script = f"import fcntl; f = open({str(lock)!r}, 'a'); fcntl.lockf(f, {fcntl.LOCK_EX}); "
    script += "print(1, flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    other.stdout.readline()
    assert module._unlocked() is False
    other.communicate(b"\n")
    assert module._unlocked() is True
