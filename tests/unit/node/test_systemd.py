"""Units: what is asked of systemd, and what its answers mean."""

from __future__ import annotations

import subprocess

import pytest
from salt.exceptions import CommandExecutionError


@pytest.fixture
def systemd(loader, monkeypatch, tmp_path):
    """The module with a systemctl that answers what a test says."""
    module = loader("_modules", "pigsty_systemd")
    module.calls = []
    module.answer = (0, "", "")

    def run(command, **options):
        module.calls.append(command[2:])
        code, out, err = module.answer
        return subprocess.CompletedProcess(command, code, out, err)

    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.setattr(module, "_DEBTS", tmp_path / "owed")
    return module


def test_several_units_are_one_call(systemd):
    systemd.answer = (
        0,
        "Id=a.service\nActiveState=active\nLoadState=loaded\n\n"
        "Id=b.service\nActiveState=inactive\nLoadState=not-found\n",
        "",
    )
    found = systemd.show("a", "b")
    assert found["a"]["ActiveState"] == "active" and found["b"]["LoadState"] == "not-found"
    assert len(systemd.calls) == 1


def test_a_machine_without_systemd_has_no_units(systemd, monkeypatch):
    def run(command, **options):
        raise FileNotFoundError

    monkeypatch.setattr(systemd.subprocess, "run", run)
    assert systemd.show("a")["a"]["LoadState"] == "not-found"
    assert systemd.exists("a") is False
    with pytest.raises(CommandExecutionError, match="no systemd"):
        systemd.act("reload", "a")


def status(active, enabled):
    return {"ActiveState": active, "UnitFileState": enabled, "LoadState": "loaded"}


@pytest.mark.parametrize(
    ("active", "enabled", "running", "keys"),
    [
        ("active", "enabled", True, set()),
        ("reloading", "enabled", True, set()),
        ("activating", "static", True, set()),
        ("inactive", "enabled", True, {"active"}),
        ("failed", "disabled", True, {"active", "enabled"}),
        ("active", "enabled", False, {"active", "enabled"}),
        ("inactive", "disabled", False, set()),
        ("failed", "disabled", False, set()),
    ],
)
def test_what_is_due(systemd, active, enabled, running, keys):
    planned = systemd.plan("a", status(active, enabled), running)
    assert set(planned.get("a", {})) == keys


def test_enabling_comes_before_starting(systemd):
    systemd.enact(systemd.plan("a", status("failed", "disabled")))
    assert systemd.calls == [["enable", "a"], ["reset-failed", "a"], ["start", "a"]]


def test_stopping(systemd):
    systemd.enact(systemd.plan("a", status("active", "enabled"), False))
    assert systemd.calls == [["disable", "a"], ["stop", "a"]]


def test_a_refusal_has_its_reason(systemd):
    systemd.answer = (1, "", "Unit a.service not found.\n")
    with pytest.raises(CommandExecutionError, match=r"start a failed: Unit a.service not found"):
        systemd.act("start", "a")


def test_a_systemd_that_hangs_has_a_deadline(systemd, monkeypatch):
    def run(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(systemd.subprocess, "run", run)
    with pytest.raises(CommandExecutionError, match=r"deadline node\.systemctl"):
        systemd.act("start", "a")


def test_a_debt_is_paid_once(systemd):
    assert systemd.owed("a.service") == ""
    systemd.owe("a.service", "restart")
    assert systemd.owed("a.service") == "restart"
    systemd.pay("a.service")
    systemd.pay("a.service")
    assert systemd.calls == [["restart", "a.service"]]


def test_a_debt_that_cannot_be_paid_stays(systemd):
    systemd.owe("a.service", "reload")
    systemd.answer = (1, "", "no")
    with pytest.raises(CommandExecutionError):
        systemd.pay("a.service")
    assert systemd.owed("a.service") == "reload"
