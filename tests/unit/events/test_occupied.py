"""Reactions take turns on machines."""

from __future__ import annotations

import threading
from types import MappingProxyType

import pytest

from pigsty import occupied
from pigsty.errors import ClientError
from pigsty.occupied import Occupied

PATIENCE = 10.0


class Reaction(threading.Thread):
    """A reaction that holds machines until it is told to end."""

    def __init__(self, machines: Occupied, *hosts: str) -> None:
        super().__init__(daemon=True)
        self._machines, self._hosts = machines, hosts
        self.has, self.end = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self._machines.hold(self._hosts):
            self.has.set()
            assert self.end.wait(PATIENCE)


def test_others_machines_are_free_and_a_taken_one_is_waited_for() -> None:
    machines = Occupied()
    first = Reaction(machines, "a", "b")
    assert first.has.wait(PATIENCE)
    other = Reaction(machines, "c")
    assert other.has.wait(PATIENCE)
    second = Reaction(machines, "b", "d")
    assert not second.has.wait(0.1)
    first.end.set()
    assert second.has.wait(PATIENCE)
    second.end.set()
    other.end.set()


def test_who_waits_keeps_nobody_from_what_is_free() -> None:
    machines = Occupied()
    long = Reaction(machines, "a")
    assert long.has.wait(PATIENCE)
    waiting = Reaction(machines, "a", "b")
    assert not waiting.has.wait(0.1)
    # The one who runs may need `b` to come to its end.
    helper = Reaction(machines, "b")
    assert helper.has.wait(PATIENCE)
    helper.end.set()
    long.end.set()
    assert waiting.has.wait(PATIENCE)
    waiting.end.set()


def test_a_failure_gives_machines_back() -> None:
    machines = Occupied()
    with pytest.raises(ZeroDivisionError), machines.hold(["a"]):
        raise ZeroDivisionError
    with machines.hold(["a"]):
        pass


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupied, "DEADLINES", MappingProxyType({"react.machine": 0.05}))
    machines = Occupied()
    with machines.hold(["a"]), pytest.raises(ClientError, match="on a for"), machines.hold(["a"]):
        pass
