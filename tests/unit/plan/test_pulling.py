"""The inventory comes from a git repository: it goes forward, or it stays and that is told."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from editions import SANDBOX

from pigsty import deadlines, react
from pigsty.clients import git
from pigsty.errors import ClientError
from pigsty.pulling import Pulling
from pigsty.reactions.truth import Truth
from pigsty.topology import load

GOOD = SANDBOX.read_text("utf-8")


def run(folder: Path, *words: str) -> str:
    """Run git as a person would."""
    done = subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class Repository:
    """A bare repository, the work tree of the admin node, and that of a colleague."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.here, self.there = (folder / name for name in ("bare", "here", "there"))
        for path in (self.bare, self.here):
            path.mkdir()
        run(self.bare, "init", "--quiet", "--bare", "--initial-branch=main")
        run(folder, "clone", "--quiet", str(self.bare), str(self.there))
        self.publish("pigsty.yml", GOOD)
        run(folder, "clone", "--quiet", str(self.bare), str(self.here))
        self.file = self.here / "pigsty.yml"

    def publish(self, name: str, text: str) -> None:
        """A colleague commits a file and pushes it."""
        (self.there / name).write_text(text)
        run(self.there, "add", name)
        run(self.there, "commit", "--quiet", "-m", "an edit")
        run(self.there, "push", "--quiet", "origin", "HEAD:main")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    # Who runs these tests may have settings; these are the ones that would touch local edits.
    config = tmp_path / "gitconfig"
    config.write_text(
        "[user]\nname = A\nemail = a@example.com\n[init]\ndefaultBranch = main\n"
        "[pull]\nrebase = true\n[merge]\nautoStash = true\n[rebase]\nautoStash = true\n"
    )
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    yield Repository(tmp_path)


# -- git ----------------------------------------------------------------------------------------


def test_what_a_colleague_pushed_is_here_after_a_pull(repository: Repository) -> None:
    assert git.pull(repository.file) is False
    repository.publish("pigsty.yml", GOOD + "# one\n")
    assert git.pull(repository.file) is True
    assert repository.file.read_text() == GOOD + "# one\n"
    assert repository.file.stat().st_mode & 0o077 == 0, "others could read its passwords"
    assert git.pull(repository.file) is False


def test_a_link_to_the_file_leads_to_its_work_tree(repository: Repository, tmp_path: Path) -> None:
    link = tmp_path / "etc" / "pigsty.yml"
    link.parent.mkdir()
    link.symlink_to(repository.file)
    repository.publish("pigsty.yml", GOOD + "# one\n")
    assert git.pull(link) is True
    assert link.is_symlink() and link.read_text() == GOOD + "# one\n"


def test_a_local_edit_of_the_same_file_stays_and_nothing_is_pulled(
    repository: Repository,
) -> None:
    repository.publish("pigsty.yml", GOOD + "# theirs\n")
    repository.file.write_text(GOOD + "# mine\n")
    with pytest.raises(ClientError, match=r"local changes .* would be overwritten"):
        git.pull(repository.file)
    assert repository.file.read_text() == GOOD + "# mine\n"
    assert run(repository.here, "stash", "list") == ""


def test_a_local_edit_of_another_file_is_not_touched(repository: Repository) -> None:
    repository.file.write_text(GOOD + "# mine\n")
    repository.publish("notes", "theirs\n")
    assert git.pull(repository.file) is True
    assert repository.file.read_text() == GOOD + "# mine\n"
    assert (repository.here / "notes").read_text() == "theirs\n"


def test_commits_of_both_sides_are_for_a_person(repository: Repository) -> None:
    repository.publish("pigsty.yml", GOOD + "# theirs\n")
    repository.file.write_text(GOOD + "# mine\n")
    run(repository.here, "commit", "--quiet", "-am", "mine")
    own = run(repository.here, "rev-parse", "HEAD")
    with pytest.raises(ClientError, match=r"git merge in .*: .*fast-forward"):
        git.pull(repository.file)
    assert run(repository.here, "rev-parse", "HEAD") == own
    assert repository.file.read_text() == GOOD + "# mine\n"


def test_what_is_no_work_tree_says_so(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="not a git repository"):
        git.pull(tmp_path / "pigsty.yml")


def test_a_repository_that_is_gone_is_told_without_its_password(repository: Repository) -> None:
    gone = "http://me:Secret.Of.Git@127.0.0.1:9/inventory.git"
    run(repository.here, "remote", "set-url", "origin", gone)
    with pytest.raises(ClientError, match="git fetch in") as caught:
        git.pull(repository.file)
    assert "Secret" not in str(caught.value) and "127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_git_its_absence_is_told(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(repository.bare))
    with pytest.raises(ClientError, match="is it installed"):
        git.pull(repository.file)


def test_a_repository_that_never_answers_ends_at_the_deadline(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "DEADLINES", {**deadlines.DEADLINES, "git.command": 0.5})
    run(repository.here, "config", "remote.origin.uploadpack", "sleep 60; :")
    begin = time.monotonic()
    with pytest.raises(ClientError, match=r"not within 0.5 s \(deadline git.command\)"):
        git.pull(repository.file)
    assert time.monotonic() - begin < 10
    # Nothing is left that would be in the way of the next one.
    run(repository.here, "config", "--unset", "remote.origin.uploadpack")
    monkeypatch.undo()
    assert git.pull(repository.file) is False


# -- when ---------------------------------------------------------------------------------------


class Turns:
    """Pulls that are counted, some of which fail, and a clock that only tests move."""

    def __init__(self, folder: Path, said: str = "") -> None:
        self.file, self.good = folder / "pigsty.yml", folder / "good.yml"
        self.time, self.fails = 100.0, ""
        self.pulled: list[float] = []
        self.told: list[str] = []
        self.interval(300)
        self.pulling = Pulling(
            self.file, self.good, self.pull, self.told.append, said, lambda: self.time
        )

    def interval(self, seconds: int) -> None:
        """Write an inventory with an interval."""
        line = f"vars:\n    pigsty_git_interval: {seconds}\n"
        self.file.write_text(GOOD.replace("vars:\n", line, 1) if seconds else GOOD)

    def pull(self, file: Path) -> bool:
        assert file == self.file
        self.pulled.append(self.time)
        if self.fails:
            raise ClientError(self.fails)
        return False

    def wait(self, seconds: float) -> int:
        """Let time pass; return how often was pulled meanwhile."""
        before, end = len(self.pulled), self.time + seconds
        while self.time < end:
            self.pulling.look()
            self.time += 10
        return len(self.pulled) - before


def test_it_is_pulled_at_once_and_then_once_in_an_interval(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    assert turns.wait(10) == 1
    assert turns.wait(290) == 0
    assert turns.wait(900) == 3
    assert turns.told == []


def test_by_default_nothing_is_pulled_and_an_edit_begins_or_ends_it(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    turns.interval(0)
    assert turns.wait(1000) == 0
    turns.interval(60)
    assert turns.wait(120) == 2
    turns.interval(0)
    assert turns.wait(1000) == 0


def test_a_failure_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    turns.fails = "git fetch: no route"
    assert turns.wait(3000) == 10
    assert turns.told == ["git fetch: no route"]
    turns.fails = "git merge: not in a straight line"
    turns.wait(600)
    turns.fails = ""
    turns.wait(600)
    assert turns.told[1:] == ["git merge: not in a straight line", ""]


def test_what_was_told_before_a_restart_is_not_told_again(tmp_path: Path) -> None:
    turns = Turns(tmp_path, said="git fetch: no route")
    turns.fails = "git fetch: no route"
    turns.wait(600)
    assert turns.told == []


def test_while_the_file_has_errors_the_repair_is_pulled(tmp_path: Path) -> None:
    turns = Turns(tmp_path)
    turns.good.write_text(turns.file.read_text())
    turns.file.write_text("all: [")
    assert turns.wait(600) == 2
    turns.good.unlink()
    assert turns.wait(600) == 0, "nobody knows whether, and how often"


def test_the_line_about_it_says_what_git_said() -> None:
    truth = Truth(load(SANDBOX), {}, frozenset())
    failed = react.decide("inventory.pull", "inventory", truth, "git fetch in /srv: no route")
    assert failed.why == (
        "the inventory isn't pulled: git fetch in /srv: no route. What stands here is used"
    )
    assert not failed.stages
    again = react.decide("inventory.pull", "inventory", truth, "")
    assert again.why == "the inventory is pulled from git again"
