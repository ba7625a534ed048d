"""One run at a time, and what is remembered of the last one."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pigsty import turns
from pigsty.returns import Change, HostResult
from pigsty_cli import attempts, exitcodes, history, lock
from pigsty_cli.errors import Refused


def test_a_second_run_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    path = tmp_path / "run" / "apply.lock"
    with lock.held("pigsty apply pg-test", path):
        with pytest.raises(Refused) as caught, lock.held("pigsty apply", path):
            pytest.fail("the lock was given twice")
        assert caught.value.exit_code == exitcodes.REFUSED
        for word in ("`pigsty apply pg-test`", lock.user(), "since 20", "pid"):
            assert word in str(caught.value)
    with lock.held("pigsty apply", path):
        pass


def test_a_run_that_cant_say_who_it_is_is_refused_and_the_lock_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "apply.lock"

    def refuse(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(lock.os, "write", refuse)
        with pytest.raises(Refused) as caught, lock.held("pigsty apply", path):
            pytest.fail("it ran")
    assert str(caught.value).startswith(f"{path}: No space left on device")
    assert "make room" in str(caught.value) and "run this as root" not in str(caught.value)
    with lock.held("pigsty apply", path):
        assert "pigsty apply" in path.read_text(encoding="utf-8")


def test_a_recovery_that_cant_be_noted_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "FOLDER", tmp_path)
    noted = attempts.Attempt("c", "h", "latest", "", False, "F", "", "pause", "now", "me")

    def refuse(_path: Path, _text: str, **_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", refuse)
        with pytest.raises(Refused, match=r"c\.json: No space left on device.*make room"):
            attempts.write(noted)
    assert attempts.read("c") is None
    attempts.write(noted)
    assert attempts.read("c") == noted


def test_reactions_share_the_turn_and_a_command_waits_for_them(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    ended: list[bool] = []
    with turns.shared(path), turns.shared(path):
        pass

    def react() -> None:
        with turns.shared(path):
            begun.set()
            free.wait(10)
            ended.append(True)

    begun, free = threading.Event(), threading.Event()
    thread = threading.Thread(target=react)
    thread.start()
    begun.wait(10)
    threading.Timer(0.3, free.set).start()
    with lock.held("pigsty apply", path):
        assert ended == [True]
        with pytest.raises(turns.NotNow), turns.shared(path):
            pass
    thread.join()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "apply.lock"
    code = (
        "import os, pathlib, sys\n"
        "from pigsty_cli import lock\n"
        "with lock.held('x', pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.read_text(encoding="utf-8")
    with lock.held("y", path):
        pass


def test_a_place_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="root"), lock.held("x", tmp_path / "file" / "lock"):
        pass


def test_the_person_behind_sudo_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    assert lock.user() == "ann"


def result(host: str, status: str = "changed") -> HostResult:
    change = Change("secret", "pgsql", {"diff": "+password: hunter2"})
    return HostResult(host, status, changed=1, changes=(change,), error="hunter2")  # type: ignore[arg-type]


def test_the_last_run_of_each_host_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "lib" / "applies.json"
    history.remember([result("a"), result("b")], {"a": "1", "b": "1"}, path)
    history.remember([result("b", "failed")], {"b": "2"}, path)
    found = history.read(path)
    assert (found["a"]["jid"], found["b"]["jid"], found["b"]["status"]) == ("1", "2", "failed")
    assert found["a"]["time"]


def test_no_change_and_no_comment_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "applies.json"
    history.remember([result("a")], {}, path)
    assert "hunter2" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_broken_record_is_no_record(tmp_path: Path, text: str) -> None:
    path = tmp_path / "applies.json"
    path.write_text(text, encoding="utf-8")
    assert history.read(path) == {}
    history.remember([result("a")], {}, path)
    assert json.loads(path.read_text(encoding="utf-8"))["a"]


def test_a_record_that_can_not_be_written_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history.remember([result("a")], {}, tmp_path / "file" / "applies.json")
