"""`pigsty pgsql restore|drill`: what is refused, the order of the steps, and a step that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pigsty.clients.patroni import Status
from pigsty_cli import access, deployment, exitcodes, lock, remote, restoring, saltapi
from pigsty_cli.errors import CliError
from pigsty_cli.main import run

ROOT = Path(__file__).resolve().parents[3]
STOP = 1772366400  # 2026-03-01 12:00:00 UTC
ENTRY = {
    "label": "F",
    "type": "full",
    "timestamp": {"start": STOP - 9, "stop": STOP},
    "lsn": {"stop": "0/2"},
}
ONE, TWO, THREE = (f"10.10.10.1{n}" for n in (1, 2, 3))
AFTER = "2026-03-01 12:30:00"


class World:
    """The minions and Patronis of pg-test, of which the second leads."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.words: dict[str, Any] = {}
        self.paused = False
        self.fails = ""
        self.lost_row = False

    def call(self, _bus: Any, host: str, function: str, words: Any = None, **_: Any) -> Any:
        name = function.partition(".")[2]
        self.calls.append((name, host))
        self.words[name] = words
        if name == self.fails:
            raise CliError(f"{host}: no")
        if name == "look":
            answer = {"name": "pg-test", "status": {"code": 0, "message": "ok"}, "backup": [ENTRY]}
            return {"info": [answer], "now": STOP + 3600, "role": "primary"}
        if name == "canary":
            return {"written": "now" if words.get("write") or not self.lost_row else "before"}
        if name == "flush":
            return {"wal": "0000000A0000000000000003"}
        return {"removed": None, "timeline": 2, "lsn": "0/3", "last_commit": None, "port": 1}

    def client(self, host: str) -> World:
        self.asked = host
        return self

    def pause(self, on: bool) -> None:
        self.paused = on
        self.calls.append(("pause" if on else "resume", self.asked))

    def status(self) -> Status:
        return Status(
            name="x",
            scope="pg-test",
            state="running",
            role="primary" if self.asked == TWO else "replica",
            timeline=2,
            replication="streaming",
            pending_restart=(),
            paused=self.paused,
            unlocked=False,
            version="4",
        )


class Master:
    def __enter__(self) -> Master:
        return self

    def __exit__(self, *_exc: object) -> None: ...


class Row:
    """A member as `pgsql list` has it."""

    def __init__(self, member: str, host: str, role: str) -> None:
        self.member, self.host, self.role = member, host, role


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    found = World()
    rows = [Row("pg-test-1", ONE, "replica"), Row("pg-test-2", TWO, "primary")]
    monkeypatch.setattr(deployment, "live_members", lambda _: {"pg-test": rows})
    monkeypatch.setattr(remote, "call", found.call)
    monkeypatch.setattr(remote, "refresh", lambda *_: None)
    monkeypatch.setattr(access, "of", lambda *_: found)
    monkeypatch.setattr(restoring, "Master", Master)
    monkeypatch.setattr(saltapi, "Master", Master)
    monkeypatch.setattr(lock.held.__wrapped__, "__defaults__", (tmp_path / "apply.lock",))
    found.rows = rows  # type: ignore[attr-defined]
    return found


def ask(*words: str) -> int:
    return run(["pgsql", *words, "-i", str(ROOT / "pillar/inventory/sandbox.yml")])


def test_in_place_step_by_step(world: World, capsys: Any) -> None:
    assert ask("restore", "pg-test", "--to", AFTER, "--yes") == exitcodes.OK
    assert world.calls == [
        ("look", TWO),
        ("flush", TWO),
        ("pause", TWO),
        ("halt", ONE),
        ("halt", THREE),
        ("halt", TWO),
        ("fill", TWO),
        ("recover", TWO),
        ("forget", TWO),
        ("serve", TWO),
        ("resume", TWO),
        ("serve", ONE),
        ("serve", THREE),
        ("backup", TWO),
    ]
    assert world.words["fill"]["value"] == "2026-03-01 12:30:00.000000+00:00"
    assert world.words["fill"]["timeline"] == "10"
    assert world.words["backup"] == {"kind": "full"}
    assert "undone: everything between 2026-03-01 12:30:00" in capsys.readouterr().err


def test_the_backups_own_timeline_needs_no_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = {"start": "0000000A0000000000000001", "stop": "0000000A0000000000000002"}
    monkeypatch.setitem(ENTRY, "archive", archive)
    assert ask("restore", "pg-test", "--to", AFTER, "--yes") == exitcodes.OK
    assert world.words["fill"]["timeline"] == "current"


def test_only_replicas_start_without_data(world: World) -> None:
    seen = []

    def call(bus: Any, host: str, function: str, words: Any = None, **more: Any) -> Any:
        if function.endswith(".serve"):
            seen.append((host, bool(words.get("empty"))))
        return World.call(world, bus, host, function, words, **more)

    world.call = call  # type: ignore[method-assign]
    remote.call = call
    assert ask("restore", "pg-test", "--to", "latest", "--yes") == exitcodes.OK
    assert seen == [(TWO, False), (ONE, True), (THREE, True)]


@pytest.mark.parametrize("point", ["2026-03-01 11:00:00", "2026-03-01 13:00:01", "0/1"])
def test_a_point_outside_the_window_touches_nothing(world: World, point: str, capsys: Any) -> None:
    assert ask("restore", "pg-test", "--to", point, "--yes") == exitcodes.REFUSED
    assert world.calls == [("look", TWO)]
    assert "nothing was touched" in capsys.readouterr().err


def test_a_test_run_shows_and_touches_nothing(world: World, capsys: Any) -> None:
    assert ask("restore", "pg-test", "--to", AFTER, "--test") == exitcodes.OK
    assert world.calls == [("look", TWO)]
    assert "2 of its members are copied anew" in capsys.readouterr().err


def test_without_a_person_or_yes_nothing_is_done(world: World) -> None:
    assert ask("restore", "pg-test", "--to", AFTER) == exitcodes.REFUSED
    assert world.calls == [("look", TWO)]


@pytest.mark.parametrize(
    "words", [(), ("--to", "a b"), ("--to", "latest", "--remove"), ("--to", "1", "--timeline", "x")]
)
def test_wrong_words(world: World, words: tuple[str, ...]) -> None:
    assert ask("restore", "pg-test", *words) == exitcodes.USAGE
    assert world.calls == []


def test_a_step_that_fails_ends_it_and_names_the_way_on(world: World, capsys: Any) -> None:
    world.fails = "recover"
    assert ask("restore", "pg-test", "--to", AFTER, "--yes") == exitcodes.FAILED
    assert world.calls[-1] == ("recover", TWO)
    assert f"--again {TWO} --timeline 10`" in capsys.readouterr().err


def test_what_is_not_archived_is_not_given_up(world: World) -> None:
    world.fails = "flush"
    assert ask("restore", "pg-test", "--to", AFTER, "--yes") == exitcodes.FAILED
    assert world.calls == [("look", TWO), ("flush", TWO)]


def test_a_restore_goes_on_where_it_was_cut_off(world: World) -> None:
    words = ("restore", "pg-test", "--to", AFTER, "--yes", "--again")
    assert ask(*words, "pg-test-2") == exitcodes.REFUSED  # it leads
    assert world.calls == []
    world.rows[1].role = "unknown"  # type: ignore[attr-defined]
    assert ask(*words, "pg-else-1") == exitcodes.REFUSED
    assert ask(*words, "pg-test-2") == exitcodes.OK
    assert [name for name, _ in world.calls[:3]] == ["look", "halt", "halt"]
    assert "flush" not in world.words


def test_beside_the_live_cluster(world: World) -> None:
    assert ask("restore", "pg-test", "--to", AFTER, "--side", "5440") == exitcodes.OK
    assert [name for name, _ in world.calls] == ["look", "flush", "side"]
    assert world.words["side"]["port"] == 5440
    assert ask("restore", "pg-test", "--remove") == exitcodes.OK
    assert world.calls[-1] == ("remove", TWO)


def test_a_drill_looks_for_its_row_and_tidies_up(world: World, capsys: Any) -> None:
    assert ask("drill", "pg-test") == exitcodes.OK
    names = [name for name, _ in world.calls]
    assert names == ["look", "canary", "flush", "side", "canary", "remove"]
    world.lost_row = True
    assert ask("drill", "pg-test") == exitcodes.FAILED
    assert "did not come back" in capsys.readouterr().err
    assert world.calls[-1][0] == "remove"


def test_a_drill_that_fails_tidies_up(world: World) -> None:
    world.fails = "side"
    assert ask("drill", "pg-test") == exitcodes.FAILED
    assert world.calls[-1][0] == "remove"
