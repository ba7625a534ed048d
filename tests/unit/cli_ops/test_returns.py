"""What a minion returned, as a person counts it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pigsty import returns
from pigsty.returns import Failure, HostResult


def state(number: int, result: bool | None = True, **more: Any) -> dict[str, Any]:
    return {
        "__id__": f"s{number}",
        "__sls__": "node.time",
        "__run_num__": number,
        "result": result,
        "changes": {},
        "comment": "",
        **more,
    }


def run(*states: dict[str, Any]) -> HostResult:
    return returns.parse("h", {f"x_|-{s['__id__']}_|-n_|-run": s for s in states}, 1.5)


def test_nothing_to_do() -> None:
    result = run(state(0), state(1))
    assert (result.status, result.ok, result.changed, result.failed) == ("ok", 2, 0, 0)
    assert result.good
    assert result.seconds == 1.5


@pytest.mark.parametrize("done", [True, None], ids=["applied", "audited"])
def test_changes_are_counted_and_kept_whether_done_or_only_found(done: bool | None) -> None:
    changes = {"diff": "-a\n+b"}
    result = run(state(1, done, changes=changes), state(0))
    assert (result.status, result.ok, result.changed) == ("changed", 1, 1)
    assert result.changes[0].id == "s1"
    assert result.changes[0].changes == changes
    assert result.good


def test_an_audit_without_changes_is_ok() -> None:
    assert run(state(0, None)).status == "ok"


def test_failures_come_in_the_order_in_which_they_happened() -> None:
    result = run(state(7, False, comment="later"), state(2, False, comment=["first", "of two"]))
    assert result.status == "failed"
    assert result.failures == (
        Failure("s2", "node.time", "first\nof two"),
        Failure("s7", "node.time", "later"),
    )


def test_what_only_waited_for_a_failed_state_is_counted_apart() -> None:
    waiting = state(1, False, comment="One or more requisite failed: node.time.s0")
    result = run(state(0, False, comment="no"), waiting)
    assert (result.failed, result.skipped, len(result.failures)) == (1, 1, 1)
    assert not result.good


def test_a_failed_state_that_changed_something_is_a_failure_and_a_change() -> None:
    result = run(state(0, False, comment="half", changes={"x": {"old": 1, "new": 2}}))
    assert (result.status, result.changed, result.failed, result.ok) == ("failed", 1, 1, 0)


def test_warnings_are_told_once() -> None:
    result = run(state(0, warnings=["no clock here"]), state(1, warnings=["no clock here", "b"]))
    assert result.warnings == ("no clock here", "b")


@pytest.mark.parametrize(
    "returned",
    [
        ["Rendering SLS 'base:node' failed", "Jinja error"],
        "The minion function caused an exception: Traceback",
        False,
        None,
        {"a_|-b_|-c_|-d": "no state"},
        {"error": "x"},
    ],
)
def test_a_run_that_did_not_start_is_a_failure_with_its_reason(returned: Any) -> None:
    result = returns.parse("h", returned)
    assert result.status == "failed"
    assert result.error
    assert result.failed == 1


def test_two_phases_are_one_run() -> None:
    first = run(state(0, changes={"a": 1}))
    second = run(state(0), state(1, False, comment="no"))
    both = returns.merge(first, second)
    assert (both.status, both.ok, both.changed, both.failed) == ("failed", 1, 1, 1)
    assert both.seconds == 3.0
    assert returns.merge(first, run(state(0))).status == "changed"


def test_all_hosts_together_tell_what_changed_and_what_went_wrong_where() -> None:
    good = run(state(1, changes={"a": "b"}), state(0))
    bad = run(state(1, changes={"c": "d"}), state(2, False, comment="no space left"))
    calm = run(state(1))
    lost = HostResult("lost", "lost", error="not heard of\nfor a minute")
    named = [replace(r, host=h) for h, r in (("good", good), ("bad", bad), ("calm", calm))]
    assert returns.changes([*named, lost]) == {
        "good": {"s1": {"a": "b"}},
        "bad": {"s1": {"c": "d"}},
    }
    assert returns.trouble([*named, lost]).splitlines() == [
        "bad: s2: no space left",
        "lost: not heard of",
        "lost: for a minute",
    ]
    assert returns.trouble([named[0], named[2]]) == ""
