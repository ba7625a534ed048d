"""Programs: what they say, and what becomes of those that fail or hang."""

from __future__ import annotations

import grp
import os
import pwd
import time
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError


@pytest.fixture
def command(loader):
    return loader("_modules", "pigsty_command")


def test_success_says_nothing(command):
    assert command.problem(["true"]) == ""
    command.run(["sh", "-c", "echo noise; echo noise >&2"])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo out; echo why >&2; exit 3", "why"),
        ("echo only this; exit 1", "only this"),
        ("exit 7", "it ended with 7"),
    ],
)
def test_a_failure_has_its_words(command, script, said):
    assert command.problem(["sh", "-c", script]) == said
    with pytest.raises(CommandExecutionError, match=f"sh: {said}"):
        command.run(["sh", "-c", script])


def test_long_words_are_cut_at_the_front(command):
    said = command.problem(["sh", "-c", "seq 10000; echo the end; exit 1"])
    assert said.endswith("the end") and len(said) < 2000


def test_a_program_that_is_not_there(command):
    assert command.problem(["no-such-program"]) == "no-such-program is not installed"


def test_a_program_that_hangs_has_a_deadline(command, monkeypatch):
    monkeypatch.setattr(command, "DEADLINES", {"node.command": 0.1})
    assert "deadline node.command" in command.problem(["sleep", "5"])


def test_nobody_is_asked(command):
    # Nothing to read: a question would end at once instead of hanging.
    assert (
        command.problem(["sh", "-c", "read answer || { echo no answer; exit 1; }"]) == "no answer"
    )
    assert command.problem(["grep", "-q", "secret"], stdin="a secret\n") == ""


def me() -> tuple[str, str]:
    return pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name


def test_somebody_elses_program_sees_nothing_of_our_environment(command, monkeypatch):
    monkeypatch.setenv("SECRET", "s3cr3t")
    said = command.answer(["sh", "-c", "pwd; env"], *me(), "node.command")
    assert said.startswith("/\n")
    assert "s3cr3t" not in said


def test_what_somebody_elses_program_says_when_it_fails(command, monkeypatch):
    with pytest.raises(CommandExecutionError, match=r"sh -c: out\nwhy"):
        command.answer(["sh", "-c", "echo out; echo why >&2; exit 3"], *me(), "node.command")
    with pytest.raises(CommandExecutionError, match="it ended with 7"):
        command.answer(["sh", "-c", "exit 7"], *me(), "node.command")
    with pytest.raises(CommandExecutionError, match="is not installed"):
        command.answer(["no-such-program"], *me(), "node.command")
    monkeypatch.setattr(command, "DEADLINES", {"node.command": 0.05})
    with pytest.raises(CommandExecutionError, match=r"deadline node\.command"):
        command.answer(["sleep", "5"], *me(), "node.command")


def test_a_program_is_heard_while_it_runs(command, tmp_path):
    """It goes on only when its first line was taken: its words don't wait for its end."""
    seen = []

    def take(line):
        seen.append(line)
        (tmp_path / "go").touch()
        return line.startswith("told")

    script = (
        f"echo told 1; until test -e {tmp_path}/go; do sleep 0.01; done; echo kept; echo told 2"
    )
    assert command.answer(["sh", "-c", script], *me(), "node.command", take) == "kept\n"
    assert seen == ["told 1\n", "kept\n", "told 2\n"]


def test_what_was_taken_is_no_words_of_a_failure(command):
    script = "echo told; echo why; echo also >&2; exit 1"
    with pytest.raises(CommandExecutionError) as failed:
        command.answer(["sh", "-c", script], *me(), "node.command", lambda line: "told" in line)
    assert str(failed.value) == "sh -c: why\nalso"


def test_more_words_than_a_pipe_holds(command):
    said = command.answer(["sh", "-c", "seq 50000 >&2; seq 50000"], *me(), "node.command")
    assert said.endswith("50000\n")


@pytest.mark.parametrize("heard", [None, lambda line: True])
def test_nothing_is_left_of_a_program_that_is_too_late(command, monkeypatch, tmp_path, heard):
    monkeypatch.setattr(command, "DEADLINES", {"node.command": 0.3})
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    begin = time.monotonic()
    with pytest.raises(CommandExecutionError, match="deadline"):
        command.answer(["sh", "-c", script], *me(), "node.command", heard)
    assert time.monotonic() - begin < 30
    child = int((tmp_path / "pid").read_text())
    stat = Path(f"/proc/{child}/stat")
    eventually = time.monotonic() + 10
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < eventually, "its child goes on"
        time.sleep(0.01)


def test_a_listener_that_fails_leaves_no_program_behind(command, tmp_path):
    def broken(_line):
        raise ValueError("boom")

    begin = time.monotonic()
    with pytest.raises(ValueError, match="boom"):
        command.answer(["sh", "-c", "echo a; sleep 60"], *me(), "node.command", broken)
    assert time.monotonic() - begin < 30
