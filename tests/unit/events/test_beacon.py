"""The beacon of a member: it tells of itself alone, and of what has changed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from pigsty import beacon, events
from pigsty.beacon import SILENT, Seen
from pigsty.clients.patroni import Patroni, Status
from pigsty.errors import ClientError

ROOT = Path(__file__).resolve().parents[3]
REPLICA, LEADER = Seen(False, "running", 3), Seen(True, "running", 4)


def status(role: str, state: str = "running", timeline: int = 3) -> Status:
    return Status("a-1", "a", state, role, timeline, "", (), False, False, "4.0")


@pytest.mark.parametrize("seen", [REPLICA, LEADER, Seen(False, SILENT)])
def test_the_first_look_and_one_that_shows_the_same_tell_nothing(seen: Seen) -> None:
    assert beacon.told("a", "a-1", None, seen) == []
    assert beacon.told("a", "a-1", seen, seen) == []


def test_a_member_that_begins_to_lead_says_so() -> None:
    assert beacon.told("a", "a-1", REPLICA, LEADER) == [
        ("pigsty/pgsql/a/leader", {"cluster": "a", "leader": "a-1", "timeline": 4})
    ]


def test_one_that_no_longer_leads_leaves_it_to_the_next_leader() -> None:
    assert beacon.told("a", "a-1", LEADER, REPLICA) == []


@pytest.mark.parametrize("state", ["stopped", "starting", SILENT])
def test_another_state_is_told(state: str) -> None:
    (event,) = beacon.told("a", "a-1", REPLICA, Seen(False, state))
    assert event == (
        "pigsty/pgsql/a/member",
        {"cluster": "a", "member": "a-1", "change": "state", "state": state},
    )


def test_what_it_tells_is_read_as_a_hint() -> None:
    for tag, data in beacon.told("a", "a-1", Seen(False, SILENT), LEADER):
        hint, refused = events.read(tag, {"id": "10.1.1.1", "data": data})
        assert (hint.subject, hint.sender, refused) == ("a", "10.1.1.1", "")


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ([], ""),
        ([{"interval": 5}], ""),
        ([{"interval": 60}], ""),
        ([{"interval": 1}], "5 seconds or more"),
        ([{"interval": "5"}], "5 seconds or more"),
        ([{"interval": True}], "5 seconds or more"),
        ({"interval": 5}, "expected a list"),
        ("5", "expected a list"),
        ([5], "no setting"),
    ],
)
def test_its_configuration(config: Any, text: str) -> None:
    assert text in beacon.problem(config) and bool(text) == bool(beacon.problem(config))


class Minion:
    """The beacon's file with a minion around it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path = ROOT / "extmods/_beacons/pigsty_patroni.py"
        spec = importlib.util.spec_from_file_location("pigsty_patroni_beacon", path)
        assert spec is not None and spec.loader is not None
        self.module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.sent: list[tuple[str, Any]] = []
        self.connected, self.says = True, status("replica")
        self.module.__context__ = {}
        self.module.__salt__ = {"event.send": self._send}
        self.module.__pillar__ = {"pigsty": {"pgsql": {"cluster": "a", "instance": "a-1"}}}
        monkeypatch.setattr(Patroni, "of_pillar", lambda _pgsql: self)

    def status(self) -> Status:
        if self.says is None:
            raise ClientError("connection refused")
        return self.says

    def _send(self, tag: str, data: Any) -> bool:
        if self.connected:
            self.sent.append((tag, data))
        return self.connected

    def look(self) -> None:
        assert self.module.beacon([{"interval": 5}]) == [], "nothing goes Salt's way, as a batch"


@pytest.fixture
def minion(monkeypatch: pytest.MonkeyPatch) -> Minion:
    return Minion(monkeypatch)


def test_a_failover_is_told_once(minion: Minion) -> None:
    minion.look()
    minion.says = status("primary", timeline=4)
    minion.look()
    minion.look()
    assert [tag for tag, _ in minion.sent] == ["pigsty/pgsql/a/leader"]


def test_what_a_master_that_is_away_could_not_hear_is_told_later(minion: Minion) -> None:
    minion.look()
    minion.connected, minion.says = False, status("primary")
    minion.look()
    minion.connected = True
    minion.look()
    assert [tag for tag, _ in minion.sent] == ["pigsty/pgsql/a/leader"]


def test_a_patroni_that_is_down_is_told(minion: Minion) -> None:
    minion.look()
    minion.says = None  # type: ignore[assignment]
    minion.look()
    assert minion.sent[0][1]["state"] == SILENT


def test_a_minion_without_postgresql_tells_nothing(minion: Minion) -> None:
    minion.module.__pillar__ = {"pigsty": {}}
    minion.look()
    assert minion.sent == []


def test_the_loader_file_checks_its_settings(minion: Minion) -> None:
    assert minion.module.validate([{"interval": 5}, {"_beacon_name": "x"}]) == (True, "valid")
    assert not minion.module.validate([{"interval": 1}])[0]
    assert not minion.module.validate({"interval": 5})[0]
