"""`pigsty events`: since when, and what follows in which form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pigsty import journal as record
from pigsty.events import Hint
from pigsty.journal import Journal
from pigsty_cli.commands import events

NOW = datetime(2026, 11, 28, 12, 0).timestamp()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A journal in which a-1 began to lead three hours ago, and a-2 one hour ago."""
    found = tmp_path / "journal.db"
    with closing(Journal(found)) as journal:
        for hours, leader in ((3, "a-1"), (1, "a-2")):
            at = NOW - 3600 * hours
            journal.note(Hint("pgsql.leader", "a", "master", {"leader": leader}), at)
            reaction = journal.take(at)
            assert reaction is not None
            journal.end(reaction, "done", f"{leader} leads a", at + 0.5)
    monkeypatch.setattr(record, "PATH", found)
    monkeypatch.setattr(record, "now", lambda: NOW)
    yield found


def run(*words: str) -> Result:
    return CliRunner().invoke(events.command, list(words), catch_exceptions=True)


@pytest.mark.parametrize(
    ("since", "leaders"),
    [
        ("2h", ["a-2"]),
        ("180m", ["a-1", "a-2"]),
        ("1d", ["a-1", "a-2"]),
        ("2026-11-28 10:30", ["a-2"]),
        ("2026-11-28T08:00", ["a-1", "a-2"]),
        ("2026-11-28", ["a-1", "a-2"]),
        ("30m", []),
    ],
)
def test_since_is_a_span_or_a_time(path: Path, since: str, leaders: list[str]) -> None:
    done = run("--since", since, "-o", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [line["outcome"].split()[0] for line in found] == leaders


@pytest.mark.parametrize("since", ["", "yesterday", "3", "2w", "-1h", "2026-13-40", "99999-01-01"])
def test_what_is_neither_says_what_would_be_right(path: Path, since: str) -> None:
    done = run("--since", since)
    assert done.exit_code != 0
    assert "for example 30m" in str(done.exception)


def test_following_in_json_begins_with_what_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_follow", lambda *_: iter(()))
    done = run("--follow", "-o", "json", "--since", "2h")
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["outcome"] == "a-2 leads a"


def test_a_quiet_time_says_since_when(path: Path) -> None:
    done = run("--since", "30m")
    assert "nothing happened since 2026-11-28 11:30:00" in done.output
