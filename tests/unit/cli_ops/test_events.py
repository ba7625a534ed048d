"""Tags and payloads: typed, and never trusted."""

from __future__ import annotations

import ast
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from pigsty import events
from pigsty.events import ApplyStep, WorkStep

ROOT = Path(__file__).resolve().parents[3]
STEP = {"jid": "2026", "done": 3, "total": 9, "changed": 1, "failed": 0, "state": "pkg: tools"}


def event(**changed: Any) -> dict[str, Any]:
    return {"id": "10.10.10.11", "data": {**STEP, **changed}}


@pytest.mark.parametrize("kind", events.TAGS)
def test_a_tag_is_read_as_it_was_made(kind: str) -> None:
    parts = {name: f"x-{name}" for name in ("cluster", "id", "name") if f"{{{name}}}" in
             events.TAGS[kind]}  # fmt: skip
    text = events.tag(kind, **parts)
    assert text.startswith("pigsty/")
    assert events.parse(text) == (kind, parts)


@pytest.mark.parametrize("text", ["", "salt/job/1/ret/x", "pigsty/pgsql//leader", "pigsty/x"])
def test_what_is_no_tag_of_ours_is_none(text: str) -> None:
    assert events.parse(text) is None


@pytest.mark.parametrize("name", ["", "a/b", "a/leader"])
def test_a_part_can_not_make_another_tag(name: str) -> None:
    with pytest.raises(ValueError, match="cluster"):
        events.tag("pgsql.leader", cluster=name)


def test_a_step_is_read() -> None:
    step = ApplyStep.from_event(events.tag("apply.step"), event())
    assert step == ApplyStep("10.10.10.11", "2026", 3, 9, 1, 0, "pkg: tools")


@pytest.mark.parametrize(
    "data",
    [
        None,
        "text",
        {},
        {"id": "10.10.10.11"},
        {"id": 7, "data": STEP},
        {"id": "10.10.10.11", "data": [1, 2]},
        event(done="3"),
        event(done=-1),
        event(done=True),
        event(total=10**9),
        event(failed=None),
    ],
)
def test_a_forged_or_broken_step_is_ignored(data: Any) -> None:
    assert ApplyStep.from_event(events.tag("apply.step"), data) is None


def test_other_events_are_no_steps() -> None:
    assert ApplyStep.from_event("pigsty/drift/10.10.10.11", event()) is None


def test_text_of_an_event_can_not_drive_the_terminal() -> None:
    step = ApplyStep.from_event(events.tag("apply.step"), event(state="\x1b[2Jgone\r\nx" * 50))
    assert step is not None
    assert step.state.isprintable()
    assert len(step.state) <= events.TEXT_LENGTH


def test_the_executor_sends_the_tags_of_the_table() -> None:
    """The executor can't import the core, so it repeats the tag: here both are compared."""
    source = (ROOT / "extmods/_executors/pigsty_progress.py").read_text(encoding="utf-8")
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, (ast.Constant, ast.Tuple))
    }  # fmt: skip
    for phase in ("begin", "step", "end"):
        assert f"{values['TAG']}/{phase}" == events.tag(f"apply.{phase}")
    assert f"{values['WORK']}/step" == events.tag("work.step")


WORK = {"jid": "7", "phase": "copies files", "done": 3, "total": 9, "detail": "x"}


def work(**changed: Any) -> dict[str, Any]:
    return {"id": "10.10.10.11", "data": {**WORK, **changed}}


def test_a_step_of_one_function_is_read() -> None:
    step = WorkStep.from_event(events.tag("work.step"), work())
    assert step == WorkStep("10.10.10.11", "7", "copies files", 3, 9, "x")
    assert WorkStep.from_event(events.tag("apply.step"), work()) is None
    assert ApplyStep.from_event(events.tag("work.step"), event()) is None


@pytest.mark.parametrize(
    "data",
    [None, {}, {"id": 7, "data": WORK}, {"id": "h", "data": 1}, work(done=True), work(total=-1),
     work(total=2**70), work(done=1.5)],
)  # fmt: skip
def test_a_forged_step_of_a_function_is_ignored(data: Any) -> None:
    assert WorkStep.from_event(events.tag("work.step"), data) is None


def test_words_of_a_function_can_not_drive_the_terminal() -> None:
    step = WorkStep.from_event(events.tag("work.step"), work(phase="\x1b[2J" * 99, detail=[1]))
    assert step is not None
    assert step.phase.isprintable() and step.detail == "[1]"


def test_progress_is_no_hint_and_wakes_no_reactor() -> None:
    """It may be forged, and comes once a second: it reaches a display and nothing else."""
    for kind in ("apply.step", "work.step"):
        assert events.read(events.tag(kind), work())[0].kind == events.UNKNOWN
    (config,) = (ROOT / "salt/master.d").glob("*.conf")
    tags = [tag for entry in yaml.safe_load(config.read_text("utf-8"))["reactor"] for tag in entry]
    assert not [tag for tag in tags if fnmatch(events.tag("work.step"), tag)]
