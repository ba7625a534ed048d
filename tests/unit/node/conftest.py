"""A machine in memory: Salt's dunders for our loader files, over fakes of files and systemd."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pigsty.render.files import Directory, diff

EXTMODS = Path(__file__).resolve().parents[3] / "extmods"


def load(kind: str, name: str) -> ModuleType:
    """Import a loader file as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"{kind}.{name}", EXTMODS / kind / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Files:
    """Files by path; the interface of the execution module ``pigsty_file``."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.modes: dict[str, tuple[str, str, str]] = {}
        self.directories: set[str] = set()
        self.writes = 0

    def read(self, path: str) -> str | None:
        return self.texts.get(path)

    def changes(self, wanted: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entry in wanted:
            if isinstance(entry, Directory):
                if entry.path not in self.directories:
                    found[entry.path] = {"directory": "created"}
                continue
            change: dict[str, Any] = {}
            old = self.texts.get(entry.path)
            if old != entry.contents:
                change["diff"] = diff(old, entry.contents, entry.path, secret=entry.secret)
            mine = (entry.mode, entry.user, entry.group)
            there = old is not None and entry.contents is not None
            if there and self.modes.get(entry.path, mine) != mine:
                change["mode"] = {"old": self.modes[entry.path], "new": mine}
            if change:
                found[entry.path] = change
        return found

    def converge(self, wanted: Any) -> dict[str, Any]:
        entries = list(wanted)
        found = self.changes(entries)
        for entry in entries:
            if entry.path not in found:
                continue
            self.writes += 1
            if isinstance(entry, Directory):
                self.directories.add(entry.path)
            elif entry.contents is None:
                self.texts.pop(entry.path, None)
            else:
                self.texts[entry.path] = entry.contents
                self.modes[entry.path] = (entry.mode, entry.user, entry.group)
        return found


class Units:
    """Units by name; the interface of ``pigsty_systemd`` with the decisions of the real one."""

    def __init__(self, real: ModuleType) -> None:
        self.real = real
        self.known: dict[str, dict[str, str]] = {}
        self.done: list[tuple[str, str]] = []
        self.debts: dict[str, str] = {}

    def install(self, unit: str, active: str = "inactive", enabled: str = "disabled") -> None:
        self.known[unit] = {
            "LoadState": "loaded",
            "ActiveState": active,
            "UnitFileState": enabled,
            "MainPID": "1",
        }

    def show(self, *units: str) -> dict[str, dict[str, str]]:
        gone = {"LoadState": "not-found", "ActiveState": "inactive"}
        return {unit: self.known.get(unit, gone) for unit in units}

    def plan(self, unit: str, status: dict[str, str], running: bool = True) -> dict[str, Any]:
        return self.real.plan(unit, status, running)

    def enact(self, planned: dict[str, Any]) -> None:
        for unit, change in planned.items():
            for key in ("enabled", "active"):
                if key in change:
                    field = "UnitFileState" if key == "enabled" else "ActiveState"
                    self.known[unit][field] = change[key]["new"]
                    self.done.append((key, unit))

    def act(self, verb: str, *units: str) -> None:
        self.done += [(verb, unit) for unit in units] or [(verb, "")]

    def owe(self, unit: str, verb: str) -> None:
        self.debts[unit] = verb

    def owed(self, unit: str) -> str:
        return self.debts.get(unit, "")

    def pay(self, unit: str) -> None:
        if unit in self.debts:
            self.done.append((self.debts.pop(unit), unit))


class Machine:
    """One machine: its files, units and notes, and the state modules that run on it."""

    def __init__(self) -> None:
        self.files = Files()
        self.units = Units(load("_modules", "pigsty_systemd"))
        self.context: dict[str, Any] = {}
        self.opts = {"test": False}
        self.pillar: dict[str, Any] = {"pigsty": {"meta": {"ca": ""}, "node": {}}}
        self.grains: dict[str, Any] = {"id": "10.10.10.11", "mem_total": 4096}
        self.salt: dict[str, Any] = {}
        for prefix, fake in (("pigsty_file", self.files), ("pigsty_systemd", self.units)):
            for name in dir(fake):
                if not name.startswith("_") and callable(getattr(fake, name)):
                    self.salt[f"{prefix}.{name}"] = getattr(fake, name)
        notes = self.module("_modules", "pigsty_note")
        self.salt["pigsty_note.add"], self.salt["pigsty_note.notes"] = notes.add, notes.notes
        self.salt["pigsty_kernel.allows"] = lambda what: True

    def module(self, kind: str, name: str) -> ModuleType:
        """Return a loader file with this machine's dunders."""
        module = load(kind, name)
        module.__salt__ = self.salt
        module.__opts__ = self.opts
        module.__pillar__ = self.pillar
        module.__grains__ = self.grains
        module.__context__ = self.context
        return module

    def node(self, **values: Any) -> None:
        """Set the node's part of the pillar."""
        self.pillar["pigsty"]["node"].update(values)

    def converges(self, function: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run a state as a test, for real and once more; check what every state promises.

        Returns:
            The changes, the same under test=True and for real; the second run makes none.
        """
        self.opts["test"] = True
        before, done = dict(self.files.texts), list(self.units.done)
        trial = function("state", *args, **kwargs)
        assert trial["result"] is (None if trial["changes"] else True), trial["comment"]
        assert self.files.texts == before
        assert self.units.done == done
        self.opts["test"] = False
        first = function("state", *args, **kwargs)
        assert first["result"] is True, first["comment"]
        assert first["changes"] == trial["changes"]
        second = function("state", *args, **kwargs)
        assert second["result"] is True, second["comment"]
        assert second["changes"] == {}
        return first["changes"]


@pytest.fixture
def machine() -> Machine:
    """A fresh machine."""
    return Machine()


@pytest.fixture
def loader() -> Any:
    """The function that imports a loader file."""
    return load
