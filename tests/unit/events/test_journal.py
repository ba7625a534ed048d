"""The journal: nothing that was noted is lost, nothing is done twice at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pigsty.coalescing import REST
from pigsty.events import Hint
from pigsty.journal import KEEP_SECONDS, Journal, JournalError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def leader(cluster: str = "a", name: str = "a-1") -> Hint:
    return Hint("pgsql.leader", cluster, "master", {"leader": name})


def test_only_its_owner_may_read_it(journal: Journal, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


def test_a_hint_leads_to_one_reaction_that_says_how_it_ended(journal: Journal) -> None:
    journal.note(leader(), 10.0)
    reaction = journal.take(11.0)
    assert reaction is not None and (reaction.state, reaction.attempts) == ("running", 1)
    journal.end(reaction, "done", "a-1 leads a", 12.5, {"changed": {"x": ["s"]}}, settled="a-1")
    (entry,) = journal.entries()
    assert entry.hint == leader() and entry.reaction is not None
    assert (entry.reaction.state, entry.reaction.ended) == ("done", 12.5)
    assert entry.reaction.detail == {"changed": {"x": ["s"]}}
    assert journal.settled("pgsql.leader", "a") == "a-1"
    assert journal.settled("pgsql.leader", "b") is None
    assert journal.take(99.0) is None


def test_a_burst_is_one_reaction_for_each_cluster_and_every_hint_is_kept(journal: Journal) -> None:
    for number in range(500):
        journal.note(leader("a", f"a-{number}"), 10.0 + number)
        journal.note(leader("b"), 10.0 + number)
    assert len(journal.entries(limit=5000)) == 1000
    taken = [journal.take(1000.0), journal.take(1000.0)]
    assert [(r.subject, r.hints) for r in taken if r] == [("a", 500), ("b", 500)]
    assert journal.take(1000.0) is None


def test_what_comes_while_a_reaction_runs_waits_for_its_end(journal: Journal) -> None:
    journal.note(leader(), 1.0)
    running = journal.take(2.0)
    assert running is not None
    journal.note(leader(name="a-2"), 3.0)
    journal.note(Hint("pgsql.member", "a", "master", {}), 3.0)
    assert journal.take(4.0) is None, "one at a time for each cluster, whatever the kind"
    journal.note(leader("b"), 4.0)
    other = journal.take(5.0)
    assert other is not None and other.subject == "b"
    journal.end(running, "done", "", 6.0)
    following = journal.take(7.0)
    assert following is not None and following.id != running.id


def test_a_refused_hint_is_kept_and_nothing_follows(journal: Journal) -> None:
    assert journal.note(leader(), 1.0, refused="forged") is None
    assert journal.take(2.0) is None
    (entry,) = journal.entries()
    assert (entry.refused, entry.reaction) == ("forged", None)


def test_a_delay_lets_others_join_and_does_not_grow(journal: Journal) -> None:
    hint = Hint("inventory.changed", "inventory", "master", {})
    journal.note(hint, 10.0, delay=1.0)
    journal.note(hint, 10.9, delay=1.0)
    assert journal.take(10.95) is None
    assert journal.next_due() == 11.0
    reaction = journal.take(11.0)
    assert reaction is not None and reaction.hints == 2
    assert journal.next_due() is None


def test_a_retry_waits_and_counts(journal: Journal) -> None:
    journal.note(leader(), 1.0)
    first = journal.take(1.0)
    assert first is not None
    journal.retry(first, 5.0, "busy")
    assert journal.take(4.9) is None
    second = journal.take(5.0)
    assert second is not None
    assert (second.id, second.attempts, second.outcome) == (first.id, 2, "busy")


def test_a_retry_joins_what_has_been_queued_meanwhile(journal: Journal) -> None:
    journal.note(leader(), 1.0)
    first = journal.take(1.0)
    assert first is not None
    journal.note(leader(name="a-2"), 2.0)
    journal.retry(first, 60.0, "busy")
    second = journal.take(3.0)
    assert second is not None
    assert (second.hints, second.queued, second.attempts) == (2, 1.0, 1)
    assert {entry.reaction.id for entry in journal.entries() if entry.reaction} == {second.id}
    assert journal.take(99.0) is None


def test_what_ran_when_the_process_was_killed_is_done_by_the_next(
    path: Path, journal: Journal
) -> None:
    journal.note(leader(), 1.0)
    assert journal.take(1.0)
    successor = Journal(path)
    assert successor.take(2.0) is None
    assert successor.recover(2.0) == 1
    again = successor.take(2.0)
    assert again is not None and again.attempts == 2
    successor.close()


def test_others_see_that_something_was_written(path: Path, journal: Journal) -> None:
    writer = Journal(path)
    before = journal.version()
    assert journal.version() == before
    writer.note(leader(), 1.0)
    assert journal.version() != before
    writer.close()


def test_many_writers_at_once_lose_nothing(path: Path, journal: Journal) -> None:
    def write(number: int) -> None:
        own = Journal(path)
        for step in range(20):
            own.note(leader(f"c{number}"), float(step))
        own.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert len(journal.entries(limit=1000)) == 160
    assert len(journal.open()) == 8


def test_entries_by_time_subject_and_number(journal: Journal) -> None:
    for at, cluster in ((1.0, "a"), (2.0, "b"), (3.0, "a")):
        journal.note(leader(cluster), at)
    assert [entry.at for entry in journal.entries(since=2.0)] == [2.0, 3.0]
    assert [entry.at for entry in journal.entries(subjects=["a"])] == [1.0, 3.0]
    first = journal.entries()[0]
    assert [entry.at for entry in journal.entries(after=first.id)] == [2.0, 3.0]
    assert [entry.at for entry in journal.entries(limit=1)] == [3.0]


def test_the_old_is_forgotten_but_not_what_waits(journal: Journal) -> None:
    journal.note(leader("old"), 1.0)
    done = journal.take(1.0)
    assert done is not None
    journal.end(done, "done", "", 1.0)
    journal.note(leader("waits"), 2.0)
    journal.prune(KEEP_SECONDS + 3.0)
    assert journal.entries() == []
    assert [reaction.subject for reaction in journal.open()] == ["waits"]


def test_a_damaged_file_is_one_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "journal.db"
    broken.write_text("this is no database, and long enough to be looked at" * 20)
    with pytest.raises(JournalError, match=r"journal\.db: file is not a database"):
        Journal(broken)


def test_a_full_disk_is_an_error_of_ours(journal: Journal) -> None:
    journal._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(JournalError, match="full"):
        for number in range(5000):
            journal.note(leader(f"c{number}"), 1.0)
    assert not journal._db.in_transaction


def test_after_a_reaction_with_nothing_to_change_hints_wait_for_others(journal: Journal) -> None:
    hint = leader()

    def react(at: float, detail: dict[str, object]) -> None:
        journal.note(hint, at)
        reaction = journal.take(at)
        assert reaction is not None
        journal.end(reaction, "done", "told", at, {"troubles": {}, "absent": [], **detail})

    assert journal.rest(hint.kind, hint.subject, 100.0) == 0, "the first is reacted to at once"
    react(100.0, {"changed": {"10.1.1.1": ["pgsql-hba"]}})
    assert journal.rest(hint.kind, hint.subject, 100.0) == 0, "so is one after a real change"
    react(101.0, {"changed": {}})
    assert journal.rest(hint.kind, hint.subject, 102.0) == REST - 1
    assert journal.rest(hint.kind, hint.subject, 101.0 + REST) == 0
    assert journal.rest(hint.kind, hint.subject, 50.0) == REST, "though the clock was put back"
    assert journal.rest(hint.kind, "another", 102.0) == 0
    react(110.0, {"changed": {}, "absent": ["10.1.1.2"]})
    assert journal.rest(hint.kind, hint.subject, 110.0) == 0
