"""The journal as a person reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pigsty import journal as record
from pigsty.events import Hint
from pigsty.journal import Journal
from pigsty.story import lines, sentence
from pigsty_cli import exitcodes
from pigsty_cli.main import cli


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    path = tmp_path / "journal.db"
    monkeypatch.setattr(record, "PATH", path)
    found = Journal(path)
    yield found
    found.close()


def leader(name: str = "a-2", sender: str = "master") -> Hint:
    return Hint("pgsql.leader", "a", sender, {"leader": name, "previous": "a-1"})


def story(journal: Journal) -> None:
    """A change of the leader that was told twice, and a forged event."""
    now = record.now()
    journal.note(leader(), now - 10)
    journal.note(leader(), now - 9)
    reaction = journal.take(now - 9)
    assert reaction is not None
    detail = {"changed": {"10.1.1.1": ["pgsql-hba"]}}
    journal.end(reaction, "done", "a-2 leads a; followed on 10.1.1.1", now - 7.5, detail)
    journal.note(Hint("pgsql.leader", "b", "10.1.1.9", {}), now - 5, refused="it lies")


def test_hints_of_one_reaction_are_one_line_from_the_first_to_the_end(journal: Journal) -> None:
    story(journal)
    done, refused = lines(journal.entries())
    assert (done.hints, done.state, done.seconds) == (2, "done", 2.5)
    assert done.happened == "a-2 leads, after a-1"
    assert done.detail == {"changed": {"10.1.1.1": ["pgsql-hba"]}}
    assert (refused.state, refused.outcome) == ("refused", "it lies")
    assert refused.detail == {"sender": "10.1.1.9"}


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (leader(), "a-2 leads, after a-1"),
        (Hint("pgsql.leader", "a", "master", {"leader": "a-1"}), "a-1 leads"),
        (leader(sender="reconcile"), "nobody had dealt with its leader"),
        (Hint("pgsql.member", "a", "master", {"member": "a-1", "change": "leave"}), "a-1 left"),
        (
            Hint("pgsql.member", "a", "m", {"member": "a-1", "change": "state", "state": "off"}),
            "a-1 is off",
        ),
        (Hint("pgsql.member", "a", "m", {}), "a member changed"),
        (Hint("node.join", "10.1.1.1", "10.1.1.1", {}), "10.1.1.1 connected"),
        (Hint("unknown", "pigsty/x", "10.1.1.1", {}), "an event from 10.1.1.1"),
    ],
)
def test_each_kind_is_told_in_a_sentence(hint: Hint, said: str) -> None:
    assert sentence(hint) == said


def test_the_command_shows_a_table(journal: Journal) -> None:
    story(journal)
    found = CliRunner().invoke(cli, ["events"])
    assert found.exit_code == 0
    assert "a-2 leads, after a-1 (2 times)" in found.output
    assert "a-2 leads a; followed on 10.1.1.1" in found.output
    assert "it lies" in found.output


def test_the_command_gives_data_about_what_is_asked_for(journal: Journal) -> None:
    story(journal)
    found = CliRunner().invoke(cli, ["events", "b", "-o", "json"])
    assert [line["subject"] for line in json.loads(found.output)] == ["b"]
    lately = CliRunner().invoke(cli, ["events", "--since", "1h", "-o", "json"])
    assert len(json.loads(lately.output)) == 2
    now = CliRunner().invoke(cli, ["events", "--since", "0s", "-o", "json"])
    assert json.loads(now.stdout) == []


@pytest.mark.parametrize("since", ["", "5", "h", "-1h", "1w"])
def test_a_time_that_is_none_is_refused(journal: Journal, since: str) -> None:
    found = CliRunner().invoke(cli, ["events", "--since", since], standalone_mode=False)
    assert "a number and s, m, h or d" in str(found.exception)


def test_without_a_journal_the_way_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "PATH", tmp_path / "none.db")
    found = CliRunner().invoke(cli, ["events"], standalone_mode=False)
    assert getattr(found.exception, "exit_code", None) == exitcodes.USAGE
    assert "admin node" in str(found.exception)
    assert not (tmp_path / "none.db").exists()
