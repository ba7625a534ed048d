"""A burst is one reaction for each cluster, however slowly it is read; nothing is hidden by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pigsty.coalescing import REST
from pigsty.events import Hint
from pigsty.journal import KEEP_SECONDS, Journal, Reaction

CHANGED = {"changed": {"10.1.1.1": ["pgsql-hba"]}}


class Book:
    """A journal whose reactions a test carries out, one second each."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path)

    def hint(self, at: float, fired: float | None = None, cluster: str = "a") -> int | None:
        hint = Hint("pgsql.leader", cluster, "master", {"leader": f"{cluster}-1"})
        delay = self.journal.rest(hint.kind, cluster, at)
        return self.journal.note(hint, at, delay=delay, fired=fired)

    def begin(self, at: float) -> Reaction:
        reaction = self.journal.take(at)
        assert reaction is not None
        return reaction

    def end(self, reaction: Reaction, at: float, *, known: bool = False) -> None:
        outcome, detail = ("already", {}) if known else ("followed", CHANGED)
        self.journal.end(reaction, "done", outcome, at, detail, known=known)

    def look(self, at: float, *, known: bool) -> int:
        reaction = self.begin(at)
        self.end(reaction, at + 1, known=known)
        return reaction.id

    def lines(self) -> list[tuple[str, int]]:
        """Every reaction: its outcome and how many hints it has; each hint has one of them."""
        told = [entry.reaction for entry in self.journal.entries(limit=10_000)]
        found = {reaction.id: reaction for reaction in told if reaction}
        assert None not in told
        for reaction in found.values():
            assert sum(r.id == reaction.id for r in told if r) == reaction.hints
        return [(reaction.outcome, reaction.hints) for reaction in found.values()]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    found = Book(tmp_path / "journal.db")
    yield found
    found.journal.close()


def test_what_was_fired_before_a_look_is_served_by_it_whenever_it_is_written_down(
    book: Book,
) -> None:
    book.hint(100.0)
    number = book.look(102.0, known=False)
    assert [book.hint(at, fired=101.9) for at in (103.0, 200.0, 5000.0)] == [number] * 3
    assert book.journal.open() == []
    assert book.lines() == [("followed", 4)]


def test_so_it_is_while_the_look_goes_on(book: Book) -> None:
    book.hint(100.0)
    running = book.begin(102.0)
    assert book.hint(102.5, fired=101.0) == running.id
    assert book.hint(102.5, fired=102.1) != running.id, "it may have read the truth before"
    book.end(running, 103.0)
    assert book.lines() == [("followed", 2), ("", 1)]


def test_what_was_fired_after_a_look_began_has_one_of_its_own(book: Book) -> None:
    book.hint(100.0)
    number = book.look(102.0, known=False)
    later = book.hint(104.0, fired=102.0)
    assert later not in (None, number)
    assert [reaction.id for reaction in book.journal.open()] == [later]


def test_a_look_at_another_cluster_or_kind_serves_nothing(book: Book) -> None:
    book.hint(100.0)
    number = book.look(102.0, known=False)
    assert book.hint(103.0, fired=101.0, cluster="b") != number
    member = Hint("pgsql.member", "a", "master", {})
    assert book.journal.note(member, 103.0, fired=101.0) != number


def test_a_reaction_that_was_given_up_or_is_tried_again_serves_nothing(book: Book) -> None:
    book.hint(100.0)
    tried = book.begin(102.0)
    book.journal.retry(tried, 110.0, "busy")
    assert book.hint(103.0, fired=101.0) == tried.id, "it joins what is queued"
    again = book.begin(110.0)
    book.journal.end(again, "failed", "given up", 111.0)
    assert book.hint(112.0, fired=101.0) != tried.id
    assert [reaction.state for reaction in book.journal.open()] == ["queued"]


def test_after_the_clock_was_put_back_nothing_passes_for_looked_at(book: Book) -> None:
    book.hint(100.0)
    number = book.look(102.0, known=False)
    assert book.hint(50.0, fired=49.0) != number, "the look was after it by another clock"


@pytest.mark.parametrize("first", [True, False])
def test_a_look_with_no_news_is_told_with_the_reaction_just_before_or_after_it(
    book: Book, first: bool
) -> None:
    book.hint(100.0)
    book.look(100.0, known=first)
    book.hint(101.5)
    book.look(101.5 + REST, known=not first)
    assert book.lines() == [("followed", 2)]


def test_two_real_ones_are_two_lines_with_the_idle_looks_between(book: Book) -> None:
    for known in (True, False, True, True, False, True):
        at = book.hint(100.0) and 100.0
        book.look(at + REST, known=known)
    assert [outcome for outcome, _hints in book.lines()] == ["followed", "followed"]
    assert sum(hints for _outcome, hints in book.lines()) == 6


def test_idle_looks_far_apart_are_a_line_each(book: Book) -> None:
    for at in (100.0, 110.0, 120.0):
        book.hint(at)
        book.look(at, known=True)
    assert book.lines() == [("already", 1)] * 3


def test_a_thousand_at_once_are_one_reaction_for_each_cluster_though_writing_takes_minutes(
    book: Book,
) -> None:
    """As they come through Salt: fired within 1.5 s, written down at ten a second."""
    taken = 0
    for number in range(1000):
        fired, now = 100 + number * 0.0015, 100 + number * 0.1
        book.hint(now, fired=fired, cluster="ab"[number % 2])
        while (reaction := book.journal.take(now)) is not None:
            taken += 1
            # The leader of the first has really moved, once its second look sees it.
            known = reaction.subject == "b" or taken != 3
            book.journal.end(
                reaction, "done", "already" if known else "followed", now + 0.01, known=known
            )
    assert book.journal.open() == []
    assert sorted(book.lines()) == [("already", 500), ("followed", 500)]
    assert taken == 4, "a look at the first, and one when all had been fired"


def test_hints_of_a_retried_reaction_are_counted_as_they_are(book: Book) -> None:
    book.hint(100.0)
    running = book.begin(101.0)
    book.hint(101.5, fired=100.5)
    book.hint(101.6)
    book.journal.retry(running, 105.0, "busy")
    book.look(105.0, known=False)
    assert book.lines() == [("followed", 3)]


def test_looks_are_forgotten_with_their_reactions(book: Book) -> None:
    book.hint(100.0)
    book.look(100.0, known=True)
    book.journal.prune(KEEP_SECONDS + 200.0)
    assert book.journal._db.execute("SELECT count(*) FROM look").fetchone()[0] == 0
    assert book.hint(KEEP_SECONDS + 200.0, fired=50.0) is not None
