"""The copy is brought up to date by itself: cheaply, in bounds, and never at a reaction's cost."""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from copies import Shelf

from pigsty import archive, archiving
from pigsty.archiving import BACK_OFF, REST, Archiver
from pigsty.errors import ClientError, PillarError
from pigsty.events import Hint
from pigsty.journal import Journal, JournalError


class Desk:
    """A journal, a copy, and a clock that a test moves."""

    def __init__(self, path: Path) -> None:
        self.path, self.time, self.shelf = path, 100.0, Shelf()
        self.declared, self.trouble = True, ""
        self.journal = Journal(path)
        self.archiver = Archiver(lambda: Journal(path), self.find, lambda: self.time)

    def find(self) -> Shelf | None:
        if self.trouble:
            raise PillarError(self.trouble)
        return self.shelf if self.declared else None

    def react(self, outcome: str = "followed", cluster: str = "a") -> None:
        """Somebody else's connection writes a reaction down, as the worker does."""
        other = Journal(self.path)
        other.note(Hint("pgsql.leader", cluster, "master", {"leader": "a-1"}), self.time)
        reaction = other.take(self.time)
        assert reaction is not None
        other.end(reaction, "done", outcome, self.time + 1)
        other.close()

    def look(self, after: float = 0.0) -> None:
        self.time += after
        self.archiver.look(self.journal)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "journal.db")
    yield found
    found.journal.close()


def test_what_has_ended_is_copied_and_then_nothing_is_done_any_more(desk: Desk) -> None:
    desk.react()
    desk.look()
    assert desk.shelf.lines() == {1: "followed"}
    for _ in range(50):
        desk.look(REST)
    assert desk.shelf.sessions == 1, "nothing new has ended: nobody is asked"
    desk.react("again", "b")
    desk.look(REST)
    assert desk.shelf.lines() == {1: "followed", 2: "again"}
    assert desk.shelf.sessions == 2


def test_a_burst_of_reactions_is_two_sessions(desk: Desk) -> None:
    desk.react()
    desk.look()
    for number in range(10):
        desk.react(cluster=f"c{number}")
        desk.look(REST / 20)
    desk.look(REST)
    assert len(desk.shelf.rows) == 11
    assert desk.shelf.sessions == 2


def test_without_a_database_nothing_happens_until_one_is_declared(desk: Desk) -> None:
    desk.declared = False
    desk.react("before")
    desk.look()
    desk.look(REST)
    assert desk.shelf.sessions == 0
    desk.declared = True
    desk.react("the inventory was edited", "inventory")
    desk.look(REST)
    assert list(desk.shelf.lines().values()) == ["before", "the inventory was edited"]


def test_a_database_that_is_away_is_told_of_once_and_caught_up(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    desk.shelf.failure = "pg-meta/meta: connection refused"
    for hour in range(24):
        desk.react(cluster=f"c{hour}")
        for _ in range(60):
            desk.look(60.0)
    assert [record.message for record in caplog.records] == [
        "the journal's copy in PostgreSQL: pg-meta/meta: connection refused;"
        " tried again until it works"
    ]
    assert desk.shelf.sessions <= 24 * 60 + len(BACK_OFF)
    assert desk.archiver.behind() > 23 * 3600
    desk.shelf.failure = ""
    desk.look(BACK_OFF[-1])
    assert len(desk.shelf.rows) == 24
    assert desk.archiver.behind() == 0.0
    assert "24 lines caught up" in caplog.records[-1].message


def test_it_comes_back_soon_at_first_and_later_each_time(desk: Desk) -> None:
    desk.shelf.failure = "away"
    desk.react()
    tries = []
    for _ in range(300):
        before = desk.shelf.sessions
        desk.look(1.0)
        if desk.shelf.sessions > before:
            tries.append(desk.time)
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses[:6] == [*BACK_OFF, BACK_OFF[-1]]


def test_a_failure_in_the_middle_keeps_what_was_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "BATCH", 2)
    for number in range(5):
        desk.react(cluster=f"c{number}")
    write = desk.shelf.write

    def twice(journal: str, batch: archive.Batch) -> None:
        if len(desk.shelf.batches) == 2:
            raise ClientError("the leader has gone")
        write(journal, batch)

    monkeypatch.setattr(desk.shelf, "write", twice)
    desk.look()
    assert len(desk.shelf.rows) == 4
    monkeypatch.setattr(desk.shelf, "write", write)
    desk.look(BACK_OFF[0])
    assert len(desk.shelf.rows) == 5
    assert [len(batch.rows) for batch in desk.shelf.batches] == [2, 2, 1]


def test_what_a_failover_has_lost_is_written_again(desk: Desk) -> None:
    for number in range(4):
        desk.react(cluster=f"c{number}")
    desk.look()
    for key in sorted(desk.shelf.rows)[2:]:
        del desk.shelf.rows[key]
    desk.react("c4 leads", "c4")
    desk.look(REST)
    assert len(desk.shelf.rows) == 5


def test_another_database_gets_all_of_it(desk: Desk) -> None:
    desk.react()
    desk.look()
    desk.shelf = Shelf()
    desk.react(cluster="inventory")
    desk.look(REST)
    assert len(desk.shelf.rows) == 2


def test_a_journal_that_was_lost_begins_anew_beside_what_is_there(
    desk: Desk, tmp_path: Path
) -> None:
    for number in range(3):
        desk.react(cluster=f"c{number}")
    desk.look()
    other = Desk(tmp_path / "new.db")
    other.shelf, other.time = desk.shelf, desk.time + 1000
    other.react("the first of the new one")
    other.look()
    assert len(desk.shelf.rows) == 4
    assert [queued for number, queued in desk.shelf.rows if number == 1] == [100.0, 1100.0]
    other.journal.close()


def test_an_older_copy_of_the_file_goes_on_and_tells_nothing_twice(
    desk: Desk, tmp_path: Path
) -> None:
    desk.react("old")
    desk.journal.close()
    shutil.copy(desk.path, tmp_path / "backup.db")
    desk.journal = Journal(desk.path)
    for number in range(5):
        desk.time += 10
        desk.react("lost with the disk", f"c{number}")
    desk.look()
    assert len(desk.shelf.rows) == 6
    restored = Desk(tmp_path / "backup.db")
    restored.shelf, restored.time = desk.shelf, desk.time + 500
    restored.react("after it was put back")
    restored.look()
    outcomes = sorted(row.outcome for _name, row in desk.shelf.rows.values())
    assert outcomes == ["after it was put back", *["lost with the disk"] * 5, "old"]
    restored.look(REST)
    assert restored.shelf.sessions == desk.shelf.sessions == 2
    restored.journal.close()


def test_an_inventory_that_cannot_be_read_is_a_failure_like_others(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.trouble = "this machine is no admin node yet"
    desk.react()
    desk.look()
    assert "no admin node" in caplog.text
    desk.trouble = ""
    desk.look(BACK_OFF[0])
    assert len(desk.shelf.rows) == 1


def test_copying_asks_for_no_reaction_and_writes_nothing_into_the_journal(desk: Desk) -> None:
    desk.react()
    watcher = Journal(desk.path)
    version = watcher.version()
    desk.look()
    assert desk.shelf.rows
    assert watcher.version() == version
    assert watcher.open() == []
    watcher.close()


def test_it_runs_in_a_thread_until_it_is_told_to_stop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "GLANCE", 0.01)
    desk.react()
    written, stop = threading.Event(), threading.Event()
    write = desk.shelf.write

    def told(journal: str, batch: archive.Batch) -> None:
        write(journal, batch)
        written.set()

    monkeypatch.setattr(desk.shelf, "write", told)
    thread = threading.Thread(target=desk.archiver.run, args=(stop,))
    thread.start()
    assert written.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_journal_that_cannot_be_opened_is_opened_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(archiving, "GLANCE", 0.01)
    opened, stop = threading.Event(), threading.Event()
    full = [JournalError("the disk is full"), JournalError("the disk is full")]

    def open_journal() -> Journal:
        if full:
            raise full.pop()
        opened.set()
        return Journal(desk.path)

    archiver = Archiver(open_journal, desk.find, lambda: desk.time)
    thread = threading.Thread(target=archiver.run, args=(stop,))
    thread.start()
    assert opened.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert caplog.text.count("the disk is full") == 1
