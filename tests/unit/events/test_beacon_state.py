"""The state of a beacon: read, compared, written, read back; the same under test=True."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
WANTED = [{"interval": 5}]


class Minion:
    """A minion that has beacons, under the state's file."""

    def __init__(self) -> None:
        path = ROOT / "extmods/_states/pigsty_beacon.py"
        spec = importlib.util.spec_from_file_location("pigsty_beacon", path)
        assert spec is not None and spec.loader is not None
        self.module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.beacons: dict[str, Any] | None = {"other": [{"interval": 9}]}
        self.saved: dict[str, Any] = {}
        self.refuses = ""
        self.module.__opts__ = {"test": False}
        self.module.__salt__ = {
            "beacons.list": lambda **_: self.beacons,
            "beacons.add": self._set,
            "beacons.modify": self._set,
            "beacons.save": self._save,
            "saltutil.refresh_beacons": lambda: True,
        }

    def _set(self, name: str, settings: Any) -> dict[str, Any]:
        if self.refuses:
            return {"result": False, "comment": self.refuses}
        assert self.beacons is not None
        self.beacons[name] = settings
        return {"result": True, "comment": ""}

    def _save(self) -> dict[str, Any]:
        self.saved = dict(self.beacons or {})
        return {"result": True, "comment": ""}

    def apply(self, test: bool = False) -> dict[str, Any]:
        self.module.__opts__["test"] = test
        found: dict[str, Any] = self.module.present("x", "pigsty_patroni", 5)
        return found


@pytest.fixture
def minion() -> Minion:
    return Minion()


def test_it_is_made_saved_and_then_nothing_changes(minion: Minion) -> None:
    foretold = minion.apply(test=True)
    assert foretold["result"] is None
    assert minion.saved == {}
    done = minion.apply()
    assert done["result"] is True
    assert done["changes"] == foretold["changes"]
    assert done["changes"] == {"pigsty_patroni": {"old": None, "new": WANTED}}
    assert minion.saved["pigsty_patroni"] == WANTED
    assert minion.saved["other"], "those of others stay"
    again = minion.apply()
    assert (again["result"], again["changes"]) == (True, {})


def test_another_interval_is_put_right(minion: Minion) -> None:
    assert minion.beacons is not None
    minion.beacons["pigsty_patroni"] = [{"interval": 60}]
    assert minion.apply()["changes"]["pigsty_patroni"]["old"] == [{"interval": 60}]
    assert minion.beacons["pigsty_patroni"] == WANTED


def test_what_the_minion_refuses_is_told(minion: Minion) -> None:
    minion.refuses = "no such beacon"
    done = minion.apply()
    assert (done["result"], done["changes"]) == (False, {})
    assert done["comment"] == "no such beacon"


@pytest.mark.parametrize("answer", [None, {"result": False, "comment": "no event module"}])
def test_a_minion_that_is_silent_is_a_failure(minion: Minion, answer: Any) -> None:
    minion.beacons = answer
    assert minion.apply()["result"] is False
