"""The executor that reports progress: it counts, it tells, and it never gets in the way."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
import salt.state
import salt.utils.event

from pigsty import events
from pigsty.events import ApplyStep, WorkStep

FILE = Path(__file__).resolve().parents[3] / "extmods/_executors/pigsty_progress.py"
JOB = {"fun": "state.apply", "jid": "2026"}


class Bus:
    """The minion's event bus; `broken` makes it fail, `sent` is what it took."""

    sent: list[tuple[str, dict[str, Any]]] = []
    broken = False

    def __init__(self, opts: Any, listen: bool) -> None:
        assert not listen
        if self.broken:
            raise OSError("no socket")

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_exc: object) -> None: ...

    def fire_event(self, event: dict[str, Any], tag: str) -> None:
        assert tag == "fire_master"
        self.sent.append((event["tag"], event["data"]))


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("pigsty_progress", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    monkeypatch.setattr(module, "__salt__", {}, raising=False)
    monkeypatch.setattr(Bus, "sent", [])
    monkeypatch.setattr(Bus, "broken", False)
    monkeypatch.setattr(salt.utils.event, "MinionEvent", Bus)
    monkeypatch.setattr(salt.state.State, "call", lambda self, low, *a, **k: {"low": low})
    monkeypatch.setattr(salt.state.State, "event", lambda self, *a, **k: None)
    return module


def states(results: list[dict[str, Any]], between: Callable[[], Any] = lambda: None) -> Any:
    """Return a function that runs states as Salt's compiler does."""

    def run(*_args: Any, **_kwargs: Any) -> dict[str, Any]:
        compiler: Any = object()
        for number, result in enumerate(results):
            low = {"state": "pkg", "__id__": f"s{number}", "name": "secret-name"}
            assert salt.state.State.call(compiler, low) == {"low": low}
            between()
            salt.state.State.event(compiler, result, len(results))
        return {"done": len(results)}

    return run


RESULTS = [
    {"result": True, "changes": {}},
    {"result": None, "changes": {"diff": "+password: hunter2"}},
    {"result": False, "changes": {}},
]


def test_it_returns_what_the_states_returned(executor: ModuleType) -> None:
    assert executor.execute({}, JOB, states(RESULTS), (), {}) == {"done": 3}


def test_it_tells_begin_and_end_with_the_counts(executor: ModuleType) -> None:
    executor.execute({}, JOB, states(RESULTS), (), {})
    first, last = Bus.sent[0], Bus.sent[-1]
    assert first[0] == events.tag("apply.begin")
    assert last[0] == events.tag("apply.end")
    assert last[1] == {
        "jid": "2026", "done": 3, "total": 3, "changed": 1, "failed": 1, "state": "",
    }  # fmt: skip
    for tag, data in Bus.sent:
        assert ApplyStep.from_event(tag, {"id": "h", "data": data})


def test_a_state_that_takes_long_is_named_while_it_runs(executor: ModuleType) -> None:
    def wait_until_told() -> None:
        for _ in range(500):
            if any(data["state"] == "pkg: s0" for _, data in Bus.sent):
                return
            threading.Event().wait(0.01)
        pytest.fail("it was never named")

    executor.execute({}, JOB, states(RESULTS[:1], wait_until_told), (), {})
    assert any(tag == events.tag("apply.step") for tag, _ in Bus.sent)


def test_no_change_and_no_name_leaves_the_machine(executor: ModuleType) -> None:
    executor.execute({}, JOB, states(RESULTS), (), {})
    assert "hunter2" not in str(Bus.sent)
    assert "secret-name" not in str(Bus.sent)


def test_a_run_of_many_states_sends_few_events(executor: ModuleType) -> None:
    executor.execute({}, JOB, states(RESULTS * 200), (), {})
    assert len(Bus.sent) < 60


def test_salts_compiler_is_as_before_afterwards(executor: ModuleType) -> None:
    before = salt.state.State.call, salt.state.State.event

    def fails(*_args: Any, **_kwargs: Any) -> None:
        assert salt.state.State.call is not before[0]
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        executor.execute({}, JOB, fails, (), {})
    assert (salt.state.State.call, salt.state.State.event) == before
    assert Bus.sent[-1][0] == events.tag("apply.end")


@pytest.mark.parametrize(
    ("options", "syncs"), [({}, True), ({"synced": False}, True), ({"synced": True}, False)]
)
def test_modules_are_not_copied_again_when_they_were_compared(
    executor: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, bool],
    syncs: bool,
) -> None:
    copied = []
    monkeypatch.setattr(salt.state.BaseHighState, "load_dynamic", lambda *a: copied.append(a))

    def highstate(*_args: Any, **_kwargs: Any) -> None:
        state: Any = object()
        salt.state.BaseHighState.load_dynamic(state, {})

    executor.execute({}, {**JOB, "executor_opts": options}, highstate, (), {})
    assert bool(copied) is syncs
    copied.clear()
    highstate()
    assert copied, "the next job of this process does as before"


def test_a_dead_bus_does_not_harm_the_run(
    executor: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bus, "broken", True)
    log = Mock()
    monkeypatch.setattr(executor, "log", log)
    assert executor.execute({}, JOB, states(RESULTS), (), {}) == {"done": 3}
    log.warning.assert_called_once()


WORK = {"fun": "pigsty_pgbackrest.backup", "jid": "7"}


@pytest.fixture
def work(executor: ModuleType, minion: Any, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module through which functions tell, known to the executor as Salt would have it."""
    module: ModuleType = minion.load("_modules", "pigsty_work")
    functions = {"pigsty_work.listen": module.listen, "pigsty_work.tell": module.tell}
    monkeypatch.setattr(executor, "__salt__", functions, raising=False)
    monkeypatch.setattr(executor, "WORK_INTERVAL", 0.01)
    return module


def test_what_a_function_tells_of_itself_is_sent(executor: ModuleType, work: ModuleType) -> None:
    def backup() -> str:
        work.tell("waits for a checkpoint")
        for _ in range(500):
            if Bus.sent:
                break
            threading.Event().wait(0.01)
        for done in range(100):
            work.tell("copies files", done, 100, "of pg-test")
        return "made"

    assert executor.execute({}, WORK, backup, (), {}) == "made"
    steps = [WorkStep.from_event(tag, {"id": "h", "data": data}) for tag, data in Bus.sent]
    assert steps[0] == WorkStep("h", "7", "waits for a checkpoint", 0, 0, "")
    assert steps[-1] == WorkStep("h", "7", "copies files", 99, 100, "of pg-test")
    assert len(steps) < 20, "what comes too fast is left out"


def test_a_function_that_tells_nothing_costs_nothing(
    executor: ModuleType, work: ModuleType
) -> None:
    before = threading.active_count()
    seen = []
    executor.execute({}, WORK, lambda: seen.append(threading.active_count()), (), {})
    assert (seen, Bus.sent) == ([before], [])


def test_a_state_that_takes_long_tells_how_far_it_is(
    executor: ModuleType, work: ModuleType
) -> None:
    def tell_until_sent() -> None:
        work.tell("copies files", 43, 100)
        for _ in range(500):
            if any(data["state"] == "pkg: s0: copies files, 43 %" for _, data in Bus.sent):
                return
            threading.Event().wait(0.01)
        pytest.fail("it was never told")

    assert executor.execute({}, JOB, states(RESULTS[:1], tell_until_sent), (), {}) == {"done": 1}
    assert Bus.sent[-1][1]["state"] == ""


def test_every_copy_of_the_module_reaches_the_listener(
    executor: ModuleType, work: ModuleType, minion: Any
) -> None:
    """Salt has a copy for each loader; the function's own is another than the executor's."""
    other = minion.load("_modules", "pigsty_work")
    executor.execute({}, WORK, lambda: other.tell("copies files"), (), {})
    assert [data["phase"] for _, data in Bus.sent] == ["copies files"]


def test_nobody_listens_after_the_job_nor_in_another_thread(
    executor: ModuleType, work: ModuleType
) -> None:
    def fails() -> None:
        other = threading.Thread(target=work.tell, args=("another job",))
        other.start()
        other.join()
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        executor.execute({}, WORK, fails, (), {})
    work.tell("after it")
    assert Bus.sent == []


def test_a_dead_bus_or_a_broken_listener_does_not_harm_the_work(
    executor: ModuleType, work: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bus, "broken", True)
    monkeypatch.setattr(executor, "log", Mock())
    assert executor.execute({}, WORK, lambda: work.tell("x") or 5, (), {}) == 5
    work.listen(Mock(side_effect=OSError))
    work.tell("x")
    work.listen(None)


def test_a_minion_without_the_module_still_works(
    executor: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "__salt__", {}, raising=False)
    assert executor.execute({}, WORK, lambda: 5, (), {}) == 5


def test_other_functions_are_simply_called(executor: ModuleType) -> None:
    job = {"fun": "test.ping", "jid": "1"}
    assert executor.execute({}, job, lambda *a, **k: (a, k), (1,), {"b": 2}) == ((1,), {"b": 2})
    assert Bus.sent == []
