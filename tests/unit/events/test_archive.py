"""What of the journal a copy gets: all that has ended, as it is told now, and nothing twice."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from pathlib import Path

import pytest
from copies import Shelf
from editions import SANDBOX

from pigsty import archive, topology
from pigsty.archive import BATCH, HINTS, Row
from pigsty.clients.archive import Archive
from pigsty.coalescing import REST
from pigsty.errors import PillarError
from pigsty.events import Hint
from pigsty.journal import KEEP_SECONDS, Journal, Reaction
from pigsty.pillar.site import Site

CHANGED = {"changed": {"10.1.1.1": ["pgsql-hba"]}}


def leader(cluster: str = "a", name: str = "a-2") -> Hint:
    return Hint("pgsql.leader", cluster, "master", {"leader": name, "previous": "a-1"})


def begun(journal: Journal, at: float, cluster: str = "a") -> Reaction:
    journal.note(leader(cluster), at)
    reaction = journal.take(at + 1)
    assert reaction is not None
    return reaction


def ended(journal: Journal, at: float, cluster: str = "a", *, known: bool = False) -> Reaction:
    """A reaction that takes two seconds."""
    reaction = begun(journal, at, cluster)
    outcome, detail = ("known", {}) if known else ("followed", CHANGED)
    journal.end(reaction, "done", outcome, at + 2, detail, known=known)
    return reaction


def rows(journal: Journal, after: int = 0) -> tuple[Row, ...]:
    return archive.batch(journal, after).rows


def test_a_reaction_that_ended_is_told_with_cause_effect_and_outcome(journal: Journal) -> None:
    reaction = begun(journal, 10.0)
    assert archive.batch(journal, 0) == archive.Batch()
    journal.end(reaction, "done", "a-2 leads a", 12.5, CHANGED)
    (row,) = rows(journal)
    assert (row.kind, row.subject, row.state, row.hints) == ("pgsql.leader", "a", "done", 1)
    assert (row.queued, row.began, row.ended, row.attempts) == (10.0, 11.0, 12.5, 1)
    assert row.cause == "a-2 leads, after a-1"
    assert row.outcome == "a-2 leads a"
    assert row.effect == CHANGED
    assert row.causes == [
        {"at": 10.0, "sender": "master", "data": {"leader": "a-2", "previous": "a-1"}}
    ]


def test_one_that_was_given_up_is_told_too_and_one_that_is_tried_again_is_not(
    journal: Journal,
) -> None:
    reaction = begun(journal, 10.0)
    journal.retry(reaction, 20.0, "busy")
    assert rows(journal) == ()
    again = journal.take(20.0)
    assert again is not None
    journal.end(again, "failed", "busy; given up", 21.0)
    assert [(row.state, row.attempts) for row in rows(journal)] == [("failed", 2)]


def test_what_a_copy_has_already_is_not_told_again(journal: Journal) -> None:
    ended(journal, 10.0)
    first = archive.batch(journal, 0)
    assert first.revision is not None
    assert archive.batch(journal, first.revision).revision is None
    ended(journal, 20.0, "b")
    assert [row.subject for row in rows(journal, first.revision)] == ["b"]


def test_a_late_hint_of_a_burst_changes_what_is_told(journal: Journal) -> None:
    reaction = ended(journal, 10.0)
    before = journal.revision()
    assert journal.note(leader(name="a-3"), 60.0, fired=10.5) == reaction.id
    (row,) = rows(journal, before)
    assert (row.id, row.hints, row.cause) == (reaction.id, 2, "a-3 leads, after a-1")
    assert len(row.causes) == 2


def test_of_a_burst_the_newest_hints_are_kept(journal: Journal) -> None:
    for number in range(HINTS * 3):
        journal.note(leader(name=f"a-{number}"), 10.0 + number / 100)
    reaction = journal.take(20.0)
    assert reaction is not None
    journal.end(reaction, "done", "", 21.0)
    (row,) = rows(journal)
    assert row.hints == HINTS * 3
    assert [cause["data"]["leader"] for cause in row.causes] == [
        f"a-{number}" for number in range(HINTS * 2, HINTS * 3)
    ]


def test_a_look_that_found_nothing_new_is_part_of_the_line_before(journal: Journal) -> None:
    first = ended(journal, 10.0)
    seen = journal.revision()
    second = ended(journal, 12.0 + REST / 2, known=True)
    found = archive.batch(journal, seen)
    assert [(row.id, row.hints) for row in found.rows] == [(first.id, 2)]
    assert found.gone == ((second.id, second.queued),)


def test_and_one_before_is_part_of_the_line_after_and_leaves_the_copy(journal: Journal) -> None:
    shelf = Shelf()
    first = ended(journal, 10.0, known=True)
    shelf.write("j", archive.batch(journal, 0))
    assert list(shelf.lines()) == [first.id]
    second = ended(journal, 12.0 + REST / 2)
    shelf.write("j", archive.batch(journal, shelf.revision("j")))
    assert shelf.lines() == {second.id: "followed"}
    assert archive.batch(journal, shelf.revision("j")).revision is None


def test_a_number_that_comes_again_is_another_reaction(journal: Journal) -> None:
    shelf = Shelf()
    ended(journal, 10.0)
    gone = ended(journal, 13.0, known=True)
    new = begun(journal, 100.0)
    assert new.id == gone.id, "the file gives the number of the last one that went"
    shelf.write("j", archive.batch(journal, 0))
    assert len(shelf.rows) == 1
    journal.end(new, "done", "new", 103.0)
    shelf.write("j", archive.batch(journal, shelf.revision("j")))
    assert sorted(shelf.rows) == [(1, 10.0), (new.id, 100.0)]


def test_a_batch_is_bounded_and_the_next_one_goes_on(journal: Journal) -> None:
    for number in range(BATCH + 5):
        ended(journal, 10.0 + 3 * number, f"c{number}")
    first = archive.batch(journal, 0)
    assert len(first.rows) == BATCH and first.revision is not None
    second = archive.batch(journal, first.revision)
    assert len(second.rows) == 5
    assert second.revision == journal.revision()


def test_what_the_journal_forgets_stays_in_the_copy(journal: Journal) -> None:
    shelf = Shelf()
    ended(journal, 10.0)
    shelf.write("j", archive.batch(journal, 0))
    journal.prune(KEEP_SECONDS + 100.0)
    assert journal.entries() == []
    assert archive.batch(journal, 0).revision is None, "nothing is left that could be told"
    assert archive.batch(journal, shelf.revision("j")).gone == ()
    assert len(shelf.rows) == 1


def test_what_no_database_takes_keeps_no_line_out(journal: Journal) -> None:
    reaction = begun(journal, 10.0)
    detail = {
        "troubles": {"10.1.1.1": "cut\0off \ud83d", "a\0b": [math.inf, math.nan, -1, True, None]}
    }
    journal.end(reaction, "failed", "half\0a", 12.0, detail)
    (row,) = rows(journal)
    text = json.dumps([row.effect, row.outcome], allow_nan=False)
    assert "\\u0000" not in text and "\\ud83d" not in text
    assert row.outcome == "half\ufffda"
    assert row.effect["troubles"]["10.1.1.1"] == "cut\ufffdoff ?"
    assert row.effect["troubles"]["a\ufffdb"] == ["inf", "nan", -1, True, None]


def test_every_journal_has_a_name_of_its_own(journal: Journal, path: Path, tmp_path: Path) -> None:
    other, again = Journal(tmp_path / "other.db"), Journal(path)
    assert again.name() == journal.name() != other.name()
    journal.rename()
    name = journal.name()
    assert again.name() == name != ""
    other.close()
    again.close()


def test_a_journal_from_before_there_were_copies_is_copied_as_a_whole(path: Path) -> None:
    old = Journal(path)
    for number in range(3):
        ended(old, 10.0 + 5 * number, f"c{number}")
    begun(old, 60.0)
    old.close()
    raw = sqlite3.connect(path)
    raw.executescript("DROP TRIGGER changed; DROP TABLE change; DROP TABLE identity;")
    raw.close()
    journal = Journal(path)
    assert [row.subject for row in rows(journal)] == ["c0", "c1", "c2"]
    assert journal.name()
    journal.close()


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_and_whenever_it_is_copied_the_copy_is_what_the_journal_tells(
    journal: Journal, seed: int
) -> None:
    chance, shelf, now = random.Random(seed), Shelf(), 1000.0
    running: list[Reaction] = []
    for _step in range(150):
        now += chance.choice((0.1, 1.0, 2.5, 30.0))
        deed = chance.choice(("note", "note", "take", "end", "end", "retry", "copy", "forget"))
        if deed == "note":
            hint = leader(chance.choice("ab"))
            journal.note(hint, now, fired=now - chance.choice((0.0, 0.5, 20.0)))
        elif deed == "take" and (taken := journal.take(now)):
            running.append(taken)
        elif deed == "end" and running:
            one = running.pop(chance.randrange(len(running)))
            state = chance.choice(("done", "done", "failed"))
            journal.end(one, state, f"at {now}", now, known=chance.random() < 0.6)
        elif deed == "retry" and running:
            journal.retry(running.pop(), now + 1, "again")
        elif deed == "copy":
            shelf.write("j", archive.batch(journal, shelf.revision("j")))
        elif deed == "forget":
            journal.prune(now)
    while (batch := archive.batch(journal, shelf.revision("j"))).rows or batch.gone:
        shelf.write("j", batch)
        if not batch.rows:
            break
    told = {
        (entry.reaction.id, entry.reaction.queued): (entry.reaction.outcome, entry.reaction.hints)
        for entry in journal.entries(limit=10_000)
        if entry.reaction and entry.reaction.state in ("done", "failed")
    }
    copied = {key: (row.outcome, row.hints) for key, (_name, row) in shelf.rows.items()}
    assert copied == told


def declaring(tmp_path: Path, database: str) -> topology.Topology:
    file = tmp_path / "pigsty.yml"
    text = SANDBOX.read_text("utf-8")
    assert "pigsty_journal_database: pg-meta/meta\n" in text
    line = f"pigsty_journal_database: {database}\n" if database else "\n"
    file.write_text(text.replace("pigsty_journal_database: pg-meta/meta\n", line), "utf-8")
    return topology.load(file)


def test_the_database_is_found_with_every_member_of_its_cluster(tmp_path: Path) -> None:
    found = archive.target(declaring(tmp_path, "pg-test/test"))
    assert found is not None and str(found) == "pg-test/test"
    assert found.hosts == (("10.10.10.11", 5432), ("10.10.10.12", 5432), ("10.10.10.13", 5432))
    assert (found.database, found.user) == ("test", "dbuser_dba")


def test_where_none_is_declared_there_is_no_copy(tmp_path: Path) -> None:
    assert archive.target(declaring(tmp_path, "")) is None
    assert archive.target(declaring(tmp_path, "''")) is None


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "ca.crt").write_text("a certificate")
    path = tmp_path / "secret.key"
    path.write_text("5a" * 32)
    return path


def test_who_writes_it_has_the_password_of_the_clusters_administrators(
    tmp_path: Path, key: Path
) -> None:
    deployment = declaring(tmp_path, "pg-meta/meta")
    found = Archive.of(deployment, key, tmp_path / "ca.crt")
    assert found is not None and found.password == "DBUser.DBA"
    assert "DBUser.DBA" not in repr(found)
    file = tmp_path / "pigsty.yml"
    file.write_text(file.read_text().replace("    pg_admin_password: DBUser.DBA\n", ""), "utf-8")
    derived = Archive.of(topology.load(file), key, tmp_path / "ca.crt")
    site = Site.read(key, tmp_path / "ca.crt")
    assert derived is not None
    assert derived.password == site.secret("pg-meta", "pg_admin_password")


def test_without_a_declaration_not_even_the_key_is_read(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert Archive.of(declaring(tmp_path, ""), nowhere, nowhere) is None
    with pytest.raises(PillarError):
        Archive.of(declaring(tmp_path, "pg-meta/meta"), nowhere, nowhere)
