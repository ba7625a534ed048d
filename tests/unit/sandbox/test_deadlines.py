"""`wait_until`: it looks before it waits, and gives up at the deadline with a sentence."""

import pytest

from pigsty import deadlines


class Clock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1


def test_a_condition_that_holds_costs_no_wait():
    clock = Clock()
    waited = deadlines.wait_until(
        lambda: True, "sandbox.kill", "it", clock=clock, sleep=clock.sleep
    )
    assert (waited, clock.slept) == (0.0, 0)


def test_it_returns_how_long_it_took():
    clock = Clock()
    waited = deadlines.wait_until(
        lambda: clock.now >= 1, "sandbox.kill", "it", clock=clock, sleep=clock.sleep
    )
    assert 1 <= waited < 1 + 2 * deadlines.POLL_SECONDS


def test_it_gives_up_at_the_deadline_and_says_what_was_awaited():
    clock = Clock()
    with pytest.raises(deadlines.DeadlineExceeded) as caught:
        deadlines.wait_until(
            lambda: False, "sandbox.kill", "node-10 ends", clock=clock, sleep=clock.sleep
        )
    limit = deadlines.DEADLINES["sandbox.kill"]
    assert limit <= clock.now < limit + 1
    assert "node-10 ends" in str(caught.value)
    assert "sandbox.kill" in str(caught.value)


def test_an_unknown_deadline_is_an_error_at_once():
    with pytest.raises(KeyError):
        deadlines.wait_until(lambda: True, "no.such", "it")


def test_the_table_can_not_be_changed_and_holds_positive_seconds():
    with pytest.raises(TypeError):
        deadlines.DEADLINES["x"] = 1.0  # type: ignore[index]
    assert all(seconds > 0 for seconds in deadlines.DEADLINES.values())
