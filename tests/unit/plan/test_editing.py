"""An edit is judged when it has come to rest: good ones are told and kept, bad ones told only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from editions import ADMIN, SANDBOX

from pigsty.deadlines import DEADLINES
from pigsty.editing import Editing
from pigsty.kept import Kept

GOOD = SANDBOX.read_text("utf-8")


class Desk:
    """A file under edit, and what was told of it; a clock that only tests move."""

    def __init__(self, folder: Path) -> None:
        self.file, self.kept, self.time = folder / "pigsty.yml", Kept(folder / "kept"), 100.0
        self.file.write_text(GOOD)
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.editing = Editing(
            self.file, self.kept, lambda tag, data: self.told.append((tag, data)), lambda: self.time
        )

    def write(self, text: str) -> None:
        """Write the file as editors do: another one comes into its place."""
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)

    def wait(self, seconds: float = 1.0) -> list[str]:
        """Let time pass; return the tags that were told meanwhile."""
        before = len(self.told)
        end = self.time + seconds
        while self.time < end:
            self.editing.look()
            self.time += 0.1
        return [tag for tag, _data in self.told[before:]]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(tmp_path)
    assert found.wait() == [], "what is there at the start is no edit"
    return found


def test_at_the_start_the_good_one_is_kept(desk: Desk) -> None:
    assert desk.kept.good.read_text() == GOOD


def test_a_good_edit_is_told_once_and_kept(desk: Desk) -> None:
    desk.write(GOOD + "# one\n")
    assert desk.wait() == ["pigsty/inventory/changed"]
    assert desk.wait(10) == []
    assert desk.kept.good.read_text() == GOOD + "# one\n"


def test_an_edit_is_told_with_what_it_touches(desk: Desk) -> None:
    desk.write(GOOD.replace("Metadata", "Netadata"))
    assert desk.wait() == ["pigsty/inventory/changed"]
    told = dict(desk.told[-1][1])
    assert len(told.pop("checksum")) == 64
    assert told == {"hosts": [ADMIN], "clusters": ["pg-meta"], "modules": ["pgsql"], "count": 1}


def test_it_is_compared_with_the_last_good_one_though_bad_ones_came_between(desk: Desk) -> None:
    desk.write("all: [")
    assert desk.wait() == ["pigsty/inventory/bad"]
    desk.write(GOOD + "# one\n")
    assert desk.wait() == ["pigsty/inventory/changed"]
    assert desk.told[-1][1]["count"] == 0


def test_with_a_bad_one_at_the_start_it_is_compared_with_the_kept_one(tmp_path: Path) -> None:
    Desk(tmp_path).wait()
    desk = Desk(tmp_path)
    desk.write("all: [")
    assert desk.wait() == ["pigsty/inventory/bad"]
    desk.write(GOOD.replace("Metadata", "Netadata"))
    assert desk.wait() == ["pigsty/inventory/changed"]
    assert desk.told[-1][1]["hosts"] == [ADMIN]


def test_a_bad_edit_is_told_and_the_good_one_stays(desk: Desk) -> None:
    desk.write(GOOD.replace("pg_role: primary", "pg_role: leader"))
    assert desk.wait() == ["pigsty/inventory/bad"]
    assert desk.told[-1][1]["errors"] == 2
    assert desk.kept.good.read_text() == GOOD
    desk.write(GOOD)
    assert desk.wait() == ["pigsty/inventory/changed"]


def test_a_bad_one_at_the_start_is_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write("all: [")
    assert desk.wait() == ["pigsty/inventory/bad"]
    assert not desk.kept.good.exists()


def test_what_is_still_being_written_is_not_judged(desk: Desk) -> None:
    for number in range(20):
        desk.write(GOOD[: number * 40])
        assert desk.wait(DEADLINES["inventory.settles"] / 2) == []
    desk.write(GOOD + "# done\n")
    assert desk.wait() == ["pigsty/inventory/changed"]


def test_a_file_that_is_gone_for_a_moment_is_no_edit(desk: Desk) -> None:
    desk.file.unlink()
    assert desk.wait(0.2) == []
    desk.write(GOOD)
    assert desk.wait() == []


def test_a_file_that_stays_away_is_a_bad_one(desk: Desk) -> None:
    desk.file.unlink()
    assert desk.wait() == ["pigsty/inventory/bad"]
    assert desk.kept.good.read_text() == GOOD


def test_a_touch_is_no_edit(desk: Desk) -> None:
    os.utime(desk.file)
    assert desk.wait() == []


def test_an_edit_in_place_with_the_same_size_is_seen(desk: Desk) -> None:
    desk.file.write_text(GOOD.replace("Metadata", "Netadata"))
    assert desk.wait() == ["pigsty/inventory/changed"]


def test_a_folder_that_cannot_be_written_stops_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.kept.good.unlink()
    (tmp_path / "kept").rmdir()
    (tmp_path / "kept").write_text("a file")
    desk.write(GOOD + "# one\n")
    assert desk.wait() == ["pigsty/inventory/changed"]
