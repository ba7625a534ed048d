"""`pigsty pgsql restore|pitr|drill`: what is refused, the order of the steps, one that fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pigsty.clients.patroni import Status
from pigsty.errors import ClientError
from pigsty_cli import (
    access,
    attempts,
    deployment,
    drills,
    exitcodes,
    lock,
    recovering,
    remote,
    restoring,
    saltapi,
)
from pigsty_cli.errors import CliError, Refused
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
        self.silent: set[str] = set()
        self.stanza = "pg-test"
        self.fate: dict[str, Any] = {"at": None, "problem": ""}
        #: By host, why a backup has no room there.
        self.lacks: dict[str, str] = {}

    def call(self, _bus: Any, host: str, function: str, words: Any = None, **_: Any) -> Any:
        name = function.partition(".")[2]
        self.calls.append((name, host))
        self.words[name] = words
        if name == self.fails:
            raise CliError(f"{host}: no")
        if name == "serve":
            self.silent.discard(host)
        if name == "halt":
            self.silent.add(host)
        if name == "window":
            return {"seconds": 90, "transactions": 7, "bounded": False, "wal": 2**24}
        if name == "look":
            answer = {
                "name": self.stanza,
                "status": {"code": 0, "message": "ok"},
                "backup": [ENTRY],
            }
            return {"info": [answer], "now": STOP + 3600, "role": "primary"}
        if name == "canary":
            return {"written": "now" if words.get("write") or not self.lost_row else "before"}
        if name == "committed":
            return self.fate
        if name == "lacks":
            return {"problem": self.lacks.get(host, "")}
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
        if self.asked in self.silent:
            raise ClientError("no answer")
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
    monkeypatch.setattr(recovering, "Master", Master)
    monkeypatch.setattr(attempts, "FOLDER", tmp_path / "pitr")
    monkeypatch.setattr(drills, "FOLDER", tmp_path / "metrics")
    monkeypatch.setattr(saltapi, "Master", Master)
    monkeypatch.setattr(lock.held.__wrapped__, "__defaults__", (tmp_path / "apply.lock",))
    found.rows = rows  # type: ignore[attr-defined]
    return found


def ask(*words: str, inventory: Path = ROOT / "pillar/inventory/sandbox.yml") -> int:
    return run(["pgsql", *words, "-i", str(inventory)])


def steps(world: World) -> list[str]:
    """What was done; the look at everybody's disks has tests of its own."""
    return [name for name, _ in world.calls if name != "lacks"]


def test_in_place_step_by_step(world: World, capsys: Any) -> None:
    assert ask("pitr", "pg-test", "--to", AFTER, "--yes") == exitcodes.OK
    assert world.calls == [
        ("look", TWO),
        ("lacks", TWO),
        ("lacks", ONE),
        ("lacks", THREE),
        ("window", TWO),
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
    assert world.words["fill"]["target"]["value"] == "2026-03-01 12:30:00.000000+00:00"
    assert world.words["fill"]["timeline"] == "10"
    assert world.words["backup"] == {"kind": "full"}
    assert "0:01:30, 7 transactions, about 16 MiB of WAL" in capsys.readouterr().err
    assert attempts.read("pg-test") is None


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        ({"at": STOP, "problem": ""}, "before the end of the first backup"),
        ({"at": None, "problem": "there has been no transaction 77 yet"}, "no transaction 77 yet"),
    ],
)
def test_a_transaction_that_cant_be_reached_is_refused_before_anything_is_touched(
    world: World, capsys: Any, fate: dict[str, Any], said: str
) -> None:
    world.fate = fate
    for command in (("pitr", "pg-test", "--yes"), ("restore", "pg-test", "--side", "5440")):
        assert ask(*command, "--to", "xid:77") == exitcodes.REFUSED
        err = capsys.readouterr().err
        assert (said in err, "nothing was touched" in err) == (True, True)
    assert set(steps(world)) == {"look", "committed"}
    world.fate = {"at": STOP + 1, "problem": ""}
    assert ask("restore", "pg-test", "--side", "5440", "--to", "xid:77") == exitcodes.OK


def test_without_room_on_the_leader_nothing_is_done_and_of_others_it_is_told(
    world: World, capsys: Any
) -> None:
    command = ("pitr", "pg-test", "--to", AFTER, "--yes")
    world.lacks = {TWO: "/pg/data has 1.0 MiB free"}
    assert ask(*command) == exitcodes.REFUSED
    said = capsys.readouterr().err
    assert f"{TWO}: /pg/data has 1.0 MiB free: nothing was done" in said
    assert {name for name, _ in world.calls} == {"look", "lacks"} and attempts.read(
        "pg-test"
    ) is None
    world.lacks = {THREE: "/pg/data has 2.0 MiB free"}
    assert ask(*command) == exitcodes.OK
    said = capsys.readouterr().err
    assert f"warning: {THREE}: /pg/data has 2.0 MiB free: it can't be copied anew" in said


def test_one_that_goes_on_looks_for_room_while_it_still_needs_it(world: World, capsys: Any) -> None:
    world.fails = "fill"
    assert ask("pitr", "pg-test", "--to", AFTER, "--yes") == exitcodes.FAILED
    world.fails, world.lacks = "", {TWO: "no room"}
    assert ask("pitr", "pg-test", "--again", "--yes") == exitcodes.REFUSED
    assert "no room: nothing was done" in capsys.readouterr().err
    world.lacks, world.fails = {}, "backup"
    assert ask("pitr", "pg-test", "--again", "--yes") == exitcodes.FAILED
    world.fails, world.lacks = "", {TWO: "no room"}
    assert ask("pitr", "pg-test", "--again", "--yes") == exitcodes.OK


def test_the_backups_own_timeline_needs_no_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = {"start": "0000000A0000000000000001", "stop": "0000000A0000000000000002"}
    monkeypatch.setitem(ENTRY, "archive", archive)
    assert ask("pitr", "pg-test", "--to", AFTER, "--yes") == exitcodes.OK
    assert world.words["fill"]["timeline"] == "current"


def test_only_replicas_start_without_data(world: World) -> None:
    seen = []

    def call(bus: Any, host: str, function: str, words: Any = None, **more: Any) -> Any:
        if function.endswith(".serve"):
            seen.append((host, bool(words.get("empty"))))
        return World.call(world, bus, host, function, words, **more)

    world.call = call  # type: ignore[method-assign]
    remote.call = call
    assert ask("pitr", "pg-test", "--to", "latest", "--yes") == exitcodes.OK
    assert seen == [(TWO, False), (ONE, True), (THREE, True)]


def test_a_group_of_citus_goes_to_the_end_of_its_archive_only(
    world: World, tmp_path: Path, capsys: Any
) -> None:
    data = yaml.safe_load((ROOT / "pillar/inventory/sandbox.yml").read_text("utf-8"))
    variables = data["all"]["children"]["pg-test"]["vars"]
    variables |= {"pg_mode": "citus", "pg_shard": "shop", "pg_group": 1, "pg_primary_db": "sales"}
    variables["pg_databases"] = [{"name": "sales"}]
    data["all"]["children"]["other"] = {
        "vars": {**variables, "pg_cluster": "other", "pg_group": 0},
        "hosts": {"10.10.10.20": {"pg_seq": 1, "pg_role": "primary"}},
    }
    file = tmp_path / "citus.yml"
    file.write_text(yaml.safe_dump(data), "utf-8")
    assert ask("pitr", "pg-test", "--to", AFTER, "--yes", inventory=file) == exitcodes.REFUSED
    assert "group 1 of the Citus cluster shop" in capsys.readouterr().err
    assert world.calls == []
    assert ask("pitr", "pg-test", "--to", "latest", "--yes", inventory=file) == exitcodes.OK


@pytest.mark.parametrize("point", ["2026-03-01 11:00:00", "2026-03-01 13:00:01", "0/1"])
def test_a_point_outside_the_window_touches_nothing(world: World, point: str, capsys: Any) -> None:
    assert ask("pitr", "pg-test", "--to", point, "--yes") == exitcodes.REFUSED
    assert world.calls == [("look", TWO)]
    assert "nothing was touched" in capsys.readouterr().err


def test_a_test_run_shows_and_touches_nothing(world: World, capsys: Any) -> None:
    assert ask("pitr", "pg-test", "--to", AFTER, "--test") == exitcodes.OK
    assert steps(world) == ["look", "window"]
    assert "2 of its members are copied anew" in capsys.readouterr().err


def test_without_a_person_or_yes_nothing_is_done(world: World) -> None:
    assert ask("pitr", "pg-test", "--to", AFTER) == exitcodes.REFUSED
    assert steps(world) == ["look", "window"]


@pytest.mark.parametrize(
    "words",
    [
        ("pitr",),
        ("pitr", "--to", "a b"),
        ("pitr", "--to", "1", "--timeline", "x"),
        ("pitr", "--to", "latest", "--exclusive"),
        ("restore", "--to", "latest"),
        ("restore", "--to", "latest", "--side", "5440", "--remove"),
    ],
)
def test_wrong_words(world: World, words: tuple[str, ...]) -> None:
    assert ask(words[0], "pg-test", *words[1:]) == exitcodes.USAGE
    assert world.calls == []


def test_a_step_that_fails_ends_it_and_names_the_way_on(world: World, capsys: Any) -> None:
    world.fails = "recover"
    assert ask("pitr", "pg-test", "--to", AFTER, "--yes") == exitcodes.FAILED
    assert world.calls[-1] == ("recover", TWO)
    assert "`pigsty pgsql pitr pg-test --again`" in capsys.readouterr().err


def test_what_is_not_archived_is_not_given_up(world: World) -> None:
    world.fails = "flush"
    assert ask("pitr", "pg-test", "--to", AFTER, "--yes") == exitcodes.FAILED
    assert steps(world) == ["look", "window", "flush"]
    # Nothing was touched, so nothing has to be gone on with.
    assert attempts.read("pg-test") is None


@pytest.mark.parametrize(
    ("fails", "step", "goes_on"),
    [
        ("fill", "restore", ["halt", "halt", "halt", "fill", "recover", "forget", "serve"]),
        ("recover", "recovery", ["halt", "halt", "halt", "fill", "recover", "forget", "serve"]),
        ("forget", "start", ["forget", "serve", "resume", "serve", "serve", "backup"]),
        ("backup", "backup", ["backup"]),
    ],
)
def test_it_goes_on_where_it_was_cut_off(
    world: World, fails: str, step: str, goes_on: list[str], capsys: Any
) -> None:
    world.fails = fails
    assert ask("pitr", "pg-test", "--to", AFTER, "--yes") == exitcodes.FAILED
    cut = attempts.read("pg-test")
    assert cut is not None
    assert (cut.step, cut.host, cut.label, cut.timeline) == (step, TWO, "F", "10")
    world.fails = ""
    world.calls.clear()
    # Neither another recovery nor an apply gets in between; everybody is told how to go on.
    assert ask("pitr", "pg-test", "--to", AFTER, "--yes") == exitcodes.REFUSED
    with pytest.raises(Refused, match="--again"):
        attempts.refuse(["pg-meta", "pg-test"])
    assert world.calls == []
    assert ask("pitr", "pg-test", "--again", "--yes") == exitcodes.OK
    assert steps(world)[: len(goes_on) + 1] == ["look", *goes_on]
    assert "flush" not in steps(world)
    assert attempts.read("pg-test") is None


def test_what_was_cut_off_may_go_to_another_point(world: World) -> None:
    world.fails = "recover"
    ask("pitr", "pg-test", "--to", AFTER, "--yes")
    world.fails = ""
    assert ask("pitr", "pg-test", "--again", "--to", "latest", "--yes") == exitcodes.OK
    assert world.words["fill"]["target"]["kind"] == "latest"
    assert world.words["fill"]["timeline"] == "10"


def test_a_replayed_point_is_not_changed_any_more(world: World) -> None:
    world.fails = "forget"
    ask("pitr", "pg-test", "--to", AFTER, "--yes")
    assert ask("pitr", "pg-test", "--again", "--to", "latest", "--yes") == exitcodes.USAGE


def test_a_recovery_that_was_killed_before_it_began_binds_nobody(world: World) -> None:
    values = {"kind": "latest", "value": "", "exclusive": False, "label": "F", "timeline": ""}
    attempts.write(
        attempts.Attempt("pg-test", TWO, **values, step="pause", since="now", user="me")  # type: ignore[arg-type]
    )
    attempts.refuse(["pg-test"])
    assert ask("pitr", "pg-test", "--to", AFTER, "--yes") == exitcodes.OK


def test_nothing_to_go_on_with(world: World) -> None:
    assert ask("pitr", "pg-test", "--again", "--yes") == exitcodes.REFUSED
    assert world.calls == []


def test_a_cluster_without_a_leader_is_restored_where_one_says(world: World) -> None:
    words = ("pitr", "pg-test", "--to", AFTER, "--yes", "--on")
    assert ask(*words, "pg-test-2") == exitcodes.REFUSED  # it leads
    world.rows[1].role = "unknown"  # type: ignore[attr-defined]
    assert ask(*words, "pg-else-1") == exitcodes.REFUSED
    assert world.calls == []
    world.silent = {ONE, TWO, THREE}
    assert ask(*words, "pg-test-2") == exitcodes.OK
    assert steps(world)[:3] == ["look", "halt", "halt"]
    assert "flush" not in world.words


def test_beside_the_live_cluster(world: World) -> None:
    assert ask("restore", "pg-test", "--to", AFTER, "--side", "5440") == exitcodes.OK
    assert steps(world) == ["look", "flush", "side"]
    assert world.words["side"]["port"] == 5440
    assert ask("restore", "pg-test", "--remove") == exitcodes.OK
    assert world.calls[-1] == ("remove", TWO)


def declaring(folder: Path, **pitr: Any) -> Path:
    document = yaml.safe_load((ROOT / "pillar/inventory/sandbox.yml").read_text())
    document["all"]["children"]["pg-test"]["vars"]["pg_pitr"] = pitr
    file = folder / "pigsty.yml"
    file.write_text(yaml.safe_dump(document))
    return file


def test_the_inventory_may_say_where_to(world: World, tmp_path: Path) -> None:
    file = declaring(tmp_path, time="2026-03-01 12:30:00+00", timeline=3, exclusive=True)
    assert ask("pitr", "pg-test", "--yes", inventory=file) == exitcodes.OK
    assert world.words["fill"]["timeline"] == "3"
    assert world.words["fill"]["target"] == {
        "kind": "time",
        "value": "2026-03-01 12:30:00.000000+00:00",
        "exclusive": True,
    }


def test_what_the_inventory_asks_for_and_is_not_done_is_refused(
    world: World, tmp_path: Path, capsys: Any
) -> None:
    file = declaring(tmp_path, type="default", archive=False)
    assert ask("pitr", "pg-test", "--yes", inventory=file) == exitcodes.USAGE
    assert world.calls == []
    assert "archive" in capsys.readouterr().err


def test_another_cluster_comes_beside_and_never_in_place(world: World, tmp_path: Path) -> None:
    file = declaring(tmp_path, cluster="pg-meta")
    assert ask("pitr", "pg-test", "--yes", inventory=file) == exitcodes.REFUSED
    assert world.calls == []
    # The minion's repository answers for the other stanza.
    world.stanza = "pg-meta"
    assert ask("restore", "pg-test", "--side", "5440", inventory=file) == exitcodes.OK
    assert steps(world) == ["look", "side"]
    assert world.words["look"] == {"source": True}
    assert world.words["side"]["source"] is True


def test_json_is_json_also_when_there_is_nothing_to_show(world: World, capsys: Any) -> None:
    for words in (("restore", "pg-test", "--remove"), ("pitr", "pg-test", "--to", AFTER, "--test")):
        assert ask(*words, "-o", "json") == exitcodes.OK
        assert json.loads(capsys.readouterr().out) == []


def test_a_drill_looks_for_its_row_and_tidies_up(world: World) -> None:
    assert ask("drill", "pg-test") == exitcodes.OK
    assert steps(world) == ["look", "canary", "flush", "side", "canary", "remove"]
    metric = drills.FOLDER / "pigsty_drill_pg-test.prom"
    assert 'pigsty_drill_success{cluster="pg-test"} 1\n' in metric.read_text()
    world.lost_row = True
    assert ask("drill", "pg-test") == exitcodes.FAILED
    assert world.calls[-1][0] == "remove"
    assert 'pigsty_drill_success{cluster="pg-test"} 0\n' in metric.read_text()


def test_a_drill_that_fails_tidies_up_its_own_copy(world: World) -> None:
    world.fails = "side"
    assert ask("drill", "pg-test") == exitcodes.FAILED
    assert world.calls[-1][0] == "remove"
    assert world.words["remove"] == {"drill": True}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda world: world.rows.pop(), "no leader"),
        (lambda world: setattr(world, "stanza", "other"), "no backup"),
    ],
)
def test_a_drill_without_a_leader_or_a_backup_has_failed(
    world: World, capsys: Any, spoil: Any, said: str
) -> None:
    spoil(world)
    assert ask("drill", "pg-test") != exitcodes.OK
    assert said in capsys.readouterr().err
    metric = drills.FOLDER / "pigsty_drill_pg-test.prom"
    assert 'pigsty_drill_success{cluster="pg-test"} 0\n' in metric.read_text()


def test_a_drill_that_another_run_keeps_out_says_nothing_of_the_backups(
    world: World, capsys: Any
) -> None:
    with lock.held("pigsty apply"):
        assert ask("drill", "pg-test") == exitcodes.REFUSED
    assert "another run is going on" in capsys.readouterr().err
    assert not drills.FOLDER.exists()
