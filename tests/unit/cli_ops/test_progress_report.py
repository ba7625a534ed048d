"""What a person sees while a run goes on, and after it."""

from __future__ import annotations

import io
import json

import pytest

from pigsty.events import ApplyStep, WorkStep
from pigsty.returns import Change, Failure, HostResult
from pigsty_cli import exitcodes, progress, report

A, B = "10.0.0.1", "10.0.0.2"
NAMES = {A: "pg-a-1", B: "pg-a-2"}
DONE = HostResult(A, "changed", ok=40, changed=2, seconds=3.21)
FAILED = HostResult(
    B,
    "failed",
    ok=3,
    failed=1,
    skipped=4,
    seconds=9.0,
    failures=(Failure("patroni", "pgsql", "no leader\nwithin 60 s"),),
    warnings=("vm.swappiness can't be set here",),
)


def step(done: int = 3, total: int = 9, changed: int = 0, failed: int = 0) -> ApplyStep:
    return ApplyStep(A, "1", done, total, changed, failed, "pkg: tools")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_tell_each_end_and_now_and_then_who_runs() -> None:
    stream, clock = io.StringIO(), Clock()
    with progress.Lines(NAMES, stream, clock) as lines:
        lines.step(step())
        for clock.now in (1.0, 5.0, 9.0):
            lines.tick()
        assert stream.getvalue() == ""
        clock.now = 11.0
        lines.tick()
        lines.tick()
        lines.done(DONE)
        for clock.now in (30.0, 70.0, 71.5):
            lines.tick()
    assert stream.getvalue().splitlines() == [
        "10.0.0.1 pg-a-1  3/9 states  pkg: tools (11 s)",
        "10.0.0.2 pg-a-2  waiting for the minion (11 s)",
        "10.0.0.1 pg-a-1  changed: 40 ok, 2 changed in 3.2 s",
        "10.0.0.2 pg-a-2  waiting for the minion (72 s)",
    ]


WHAT = "full backup of pg-a on 10.0.0.1"


def work(phase: str, done: int = 0, total: int = 0, detail: str = "") -> WorkStep:
    return WorkStep(A, "1", phase, done, total, detail)


def test_one_thing_that_is_waited_for_in_plain_lines() -> None:
    stream, clock = io.StringIO(), Clock()
    with progress.Lines({A: WHAT}, stream, clock, alone=True) as lines:
        lines.begin()
        clock.now = 11.0
        lines.tick()
        lines.step(work("waits for a checkpoint"))
        for clock.now, done in ((12.0, 0), (15.0, 4), (23.0, 5), (30.0, 6), (34.0, 7)):
            lines.step(work("copies files", done * 2**37, 10 * 2**37))
            lines.tick()
        for clock.now in (60.0, 93.0, 96.0, 800.0):
            lines.tick()
    assert stream.getvalue().splitlines() == [
        f"{WHAT} …",
        f"{WHAT} (11 s)",
        f"{WHAT}: waits for a checkpoint (11 s)",
        f"{WHAT}: copies files, 0 % of 1.2 TiB (12 s)",
        f"{WHAT}: copies files, 50 % of 1.2 TiB (23 s)",
        f"{WHAT}: copies files, 70 % of 1.2 TiB (34 s)",
        f"{WHAT}: copies files, 70 % of 1.2 TiB (96 s)",
        f"{WHAT}: copies files, 70 % of 1.2 TiB (13 min)",
    ]


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (work("stops Patroni"), "stops Patroni"),
        (work("copies files", 43, 100), "copies files, 43 % of 100 B"),
        (work("copies files", 200, 100), "copies files, 100 % of 100 B"),
        (work("replays WAL", detail="at 0/5000028"), "replays WAL, at 0/5000028"),
    ],
)
def test_how_far_a_function_is_in_words(seen: WorkStep, text: str) -> None:
    assert progress.running(seen) == text


def test_one_thing_on_a_terminal_is_one_line() -> None:
    from rich.console import Console

    clock = Clock()
    live = progress.Live({A: WHAT}, clock, alone=True)
    live.step(work("copies files", 43, 100))
    clock.now = 725.0
    console = Console(width=140, file=io.StringIO())
    with console.capture() as captured:
        console.print(live._table())
    assert captured.get().strip() == f"{WHAT}: copies files, 43 % of 100 B (12 min)"


def test_a_wait_is_shown_only_when_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress.wait(lambda: True, "patroni.rest", "Patroni answers") == 0.0
    looks = [True, False, False]
    assert progress.wait(lambda: looks.pop() is True, "patroni.rest", "Patroni answers") > 0
    assert capsys.readouterr().err == "", "a short one needs no line"


def test_a_stranger_is_not_drawn() -> None:
    stream = io.StringIO()
    lines = progress.Lines({B: ""}, stream, Clock())
    lines.step(step())
    lines.done(DONE)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (None, "waiting for the minion"),
        (step(0, 0), "reading its states"),
        (step(changed=2, failed=1), "3/9 states, 2 changed, 1 failed  pkg: tools"),
    ],
)
def test_how_far_a_host_is_in_words(seen: ApplyStep | None, text: str) -> None:
    assert progress.running(seen) == text


def test_the_end_of_a_host_in_words() -> None:
    assert progress.ending(FAILED) == "failed: 3 ok, 1 failed, 4 not run in 9.0 s"
    assert progress.ending(HostResult(A, "lost", error="went away\nmore")) == "lost: went away"
    assert progress.ending(HostResult(A, "ok", ok=1)) == "ok: 1 ok"


def test_a_traceback_is_told_by_its_last_line() -> None:
    text = "boom: Traceback (most recent call last):\n  File x\nValueError: no pillar\n"
    assert progress.headline(text) == "ValueError: no pillar"


def test_the_live_table_draws_every_state_of_a_host() -> None:
    from rich.console import Console

    live = progress.Live({A: "pg-a-1", B: "[red]x", "10.0.0.3": ""}, Clock())
    live.step(step())
    live.done(FAILED)
    console = Console(width=120, file=io.StringIO())
    with console.capture() as captured:
        console.print(live._table())
    text = captured.get()
    assert "3/9 states" in text
    assert "4 not run" in text
    assert "[red]x" in text, "a name is data, not markup"
    assert "waiting for the minion" in text


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([DONE], exitcodes.OK),
        ([DONE, FAILED], exitcodes.PARTIAL),
        ([FAILED], exitcodes.FAILED),
        ([HostResult(A, "unreachable"), DONE], exitcodes.PARTIAL),
        ([HostResult(A, "lost")], exitcodes.FAILED),
    ],
)
def test_exit_codes(results: list[HostResult], code: int) -> None:
    assert report.exit_code(results) == code


def test_one_line_a_host_and_every_failure_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    report.show([DONE, FAILED], NAMES, "table", test=False)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[1].split() == [A, "pg-a-1", "changed", "40", "2", "0", "0", "3.2"]
    assert lines[2].split()[:3] == [B, "pg-a-2", "failed"]
    assert "10.0.0.2 pg-a-2: failed: patroni (pgsql)\n    no leader\n    within 60 s\n" in out
    assert "4 more states did not run" in out
    assert "vm.swappiness" in err
    assert "vm.swappiness" not in out


def test_what_changed_is_shown_by_an_audit_only(capsys: pytest.CaptureFixture[str]) -> None:
    found = HostResult(A, "changed", changed=1, changes=(Change("hba", "pgsql", {"diff": "+x"}),))
    report.show([found], NAMES, "table", test=True)
    out = capsys.readouterr().out
    assert "WOULD CHANGE" in out
    assert "10.0.0.1 pg-a-1: would change: hba (pgsql)\n    +x\n" in out
    report.show([found], NAMES, "table", test=False)
    assert "+x" not in capsys.readouterr().out


def test_json_holds_everything_and_names_the_host_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report.show([DONE, FAILED], NAMES, "json", test=False)
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert err == ""
    assert [list(row)[:2] for row in rows] == [["host", "name"]] * 2
    assert rows[1]["failures"] == [
        {"id": "patroni", "sls": "pgsql", "comment": "no leader\nwithin 60 s"}
    ]
    assert rows[0]["changed"] == 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"diff": "-a\n+b\n"}, "-a\n+b"),
        ({"mode": {"old": "0644", "new": "0600"}}, "mode: 0644 → 0600"),
        ({"pkg": {"old": "", "new": "1.2"}}, "pkg: (none) → 1.2"),
        ({"conf": {"old": {"a": 1, "b": 2}, "new": {"a": 1, "b": 3}}}, "conf:\n    b: 2 → 3"),
        ({"files": {"/x": {"diff": "+y"}}}, "files:\n    /x:\n        +y"),
        ({"newfile": "/etc/x"}, "newfile: /etc/x"),
        ("as it is", "as it is"),
    ],
)
def test_changes_as_text(changes: object, text: str) -> None:
    assert report.changes_text(changes) == text
