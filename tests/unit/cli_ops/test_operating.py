"""Operations on a cluster made of data: what Patroni is asked, what is waited for and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from obeying import Fake, Salt, World, salt, world

from pigsty import deadlines
from pigsty_cli import exitcodes
from pigsty_cli.commands import pgsql_operations
from pigsty_cli.main import run

__all__ = ["salt", "world"]


def test_a_switchover_is_awaited_and_timed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pgsql", "switchover", "pg-test", "--yes", "-o", "json"]) == exitcodes.OK
    out, err = capsys.readouterr()
    assert world.calls == [("pg-test-1", "switchover", "pg-test-1", "pg-test-2")]
    data = json.loads(out)
    assert (data["leader"], data["members"], data["test"]) == ("pg-test-1", ["pg-test-2"], False)
    assert [(row["member"], row["done"]) for row in data["steps"]] == [
        ("pg-test-2", "leads"),
        ("pg-test-1", "follows"),
    ]
    assert "hands the lead" in err and "writes wait" in err


def test_replicas_that_lag_by_patronis_last_loop_get_another_look(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.lagging = 10  # answers: every look asks three members
    assert run(["pgsql", "switchover", "pg-test", "--yes"]) == exitcodes.OK
    err = capsys.readouterr().err
    assert err.count("lags 16777216 bytes") == 2 and err.count("waiting for what members say") == 1
    assert world.calls == [("pg-test-1", "switchover", "pg-test-1", "pg-test-2")]


def test_replicas_that_go_on_to_lag_are_refused_with_the_last_look(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.lagging = 10**6
    monkeypatch.setattr(deadlines, "DEADLINES", {**deadlines.DEADLINES, "patroni.fit": 0.05})
    words = ["pgsql", "switchover", "pg-test", "pg-test-3", "--yes"]
    assert run(words) == exitcodes.REFUSED
    assert "pg-test-3 can't take the lead: it lags 16777216" in capsys.readouterr().err
    assert world.calls == []


def test_a_preview_waits_for_nobody(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.lagging = 6
    assert run(["pgsql", "switchover", "pg-test", "--test"]) == exitcodes.REFUSED
    assert "waiting" not in capsys.readouterr().err
    assert world.lagging == 3, "one look of three members"


def _upstream(folder: Path) -> None:
    """Edit the inventory: pg-test follows pg-meta."""
    file = folder / "pigsty.yml"
    line = "10.10.10.11: { pg_seq: 1, pg_role: primary"
    file.write_text(file.read_text().replace(line, f"{line}, pg_upstream: 10.10.10.10"))


def test_a_standby_cluster_is_promoted_and_everybody_is_awaited(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.upstream = {"host": "10.10.10.10", "port": 5432}
    assert run(["pgsql", "promote", "pg-test", "--test", "-o", "json"]) == exitcodes.OK
    assert world.calls == []
    assert json.loads(capsys.readouterr().out)["members"] == ["pg-test-1"]
    assert run(["pgsql", "promote", "pg-test", "--yes", "-o", "json"]) == exitcodes.OK
    out, err = capsys.readouterr()
    assert world.calls == [("pg-test-1", "follow", "None")]
    assert [(row["member"], row["done"]) for row in json.loads(out)["steps"]] == [
        ("pg-test-1", "takes writes"),
        ("pg-test-2", "streams"),
        ("pg-test-3", "streams"),
    ]
    assert "stops following 10.10.10.10" in err
    assert run(["pgsql", "promote", "pg-test", "--yes"]) == exitcodes.OK
    assert len(world.calls) == 1


def test_a_cluster_follows_again_whom_the_inventory_names(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pgsql", "demote", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert "pg_upstream" in capsys.readouterr().err and world.calls == []
    _upstream(tmp_path)
    world.other = "8"
    assert run(["pgsql", "demote", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert "all of its data would be thrown away" in capsys.readouterr().err
    world.other, world.down = "7", {"pg-meta-1"}
    assert run(["pgsql", "demote", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert "no Patroni of 10.10.10.10 answers" in capsys.readouterr().err
    assert world.calls == []
    world.down, world.behind = set(), 5
    assert run(["pgsql", "demote", "pg-test", "--yes", "-o", "json"]) == exitcodes.OK
    assert world.calls == [("pg-test-1", "follow", "10.10.10.10")]
    assert world.behind == 0, "nobody streams before it is on the timeline of pg-meta"
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps[0]["done"] == "follows its upstream" and len(steps) == 3


def test_a_replica_that_has_what_the_upstream_never_had_is_copied(
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadlines, "DEADLINES", {**deadlines.DEADLINES, "patroni.aligns": 0.05})
    _upstream(tmp_path)
    world.astray = {"pg-test-3"}
    assert run(["pgsql", "demote", "pg-test", "--yes", "-o", "json"]) == exitcodes.OK
    out, err = capsys.readouterr()
    assert world.calls == [("pg-test-1", "follow", "10.10.10.10"), ("pg-test-3", "reinit")]
    assert [(row["member"], row["done"]) for row in json.loads(out)["steps"]] == [
        ("pg-test-1", "follows its upstream"),
        ("pg-test-2", "streams"),
        ("pg-test-3", "copied"),
    ]
    assert "pg-test-3 has what 10.10.10.10 never had: it copies" in err


@pytest.mark.parametrize(
    "words",
    [
        ["switchover", "pg-test"],
        ["failover", "pg-test", "--force"],
        ["restart", "pg-test"],
        ["reload", "pg-test"],
        ["reinit", "pg-test", "pg-test-3"],
        ["pause", "pg-test"],
        ["resume", "pg-test"],
    ],
)
def test_a_preview_does_nothing(
    world: World, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pgsql", *words, "--test", "-o", "json"]) == exitcodes.OK
    data = json.loads(capsys.readouterr().out)
    assert data["test"] is True and data["sentence"]
    assert [member["member"] for member in data["live"]] == ["pg-test-1", "pg-test-2", "pg-test-3"]
    assert world.calls == []


def test_without_yes_and_without_a_person_nothing_happens(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["switchover", "pg-test"], ["restart", "pg-test"], ["pause", "pg-test"]):
        assert run(["pgsql", *words]) == exitcodes.REFUSED
        assert "--yes" in capsys.readouterr().err
    assert world.calls == []


@pytest.mark.parametrize(
    ("typed", "code"), [("pg-test", exitcodes.OK), ("pg-meta", exitcodes.REFUSED)]
)
def test_the_clusters_name_is_typed(
    world: World, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    monkeypatch.setattr(pgsql_operations.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(pgsql_operations.click, "prompt", lambda *_a, **_k: typed)
    assert run(["pgsql", "pause", "pg-test"]) == code
    assert world.paused is (code == exitcodes.OK)


def test_refusals_have_their_exit_code_and_change_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pgsql", "failover", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert "healthy" in capsys.readouterr().err
    assert run(["pgsql", "reinit", "pg-test", "pg-test-1", "--yes"]) == exitcodes.REFUSED
    assert run(["pgsql", "switchover", "pg-test", "pg-test-9", "--yes"]) == exitcodes.USAGE
    assert run(["pgsql", "switchover", "pg-tset", "--yes"]) == exitcodes.USAGE
    assert world.calls == []


def test_what_patroni_refuses_is_told_in_its_words(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.refuses = "412 leader name does not match"
    assert run(["pgsql", "switchover", "pg-test", "--yes"]) == exitcodes.FAILED
    assert "leader name does not match" in capsys.readouterr().err


def test_a_failover_asks_the_candidate(world: World) -> None:
    world.down = {"pg-test-1"}
    assert run(["pgsql", "failover", "pg-test", "pg-test-3", "--yes"]) == exitcodes.OK
    assert world.calls == [("pg-test-3", "failover", "pg-test-3")]


def test_members_restart_in_turn(world: World) -> None:
    assert run(["pgsql", "restart", "pg-test", "--yes"]) == exitcodes.OK
    assert world.calls == [
        ("pg-test-2", "restart"),
        ("pg-test-3", "restart"),
        ("pg-test-1", "restart"),
    ]


def test_a_restart_of_those_that_wait_looks_once_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.pending = {"pg-test-1", "pg-test-3"}
    restart = Fake.restart

    def lowers(self: Fake) -> str:
        said = restart(self)
        if self.name == "pg-test-1":
            self.world.pending.add("pg-test-2")
        return said

    monkeypatch.setattr(Fake, "restart", lowers)
    assert run(["pgsql", "restart", "pg-test", "--pending", "--yes"]) == exitcodes.OK
    assert [call[0] for call in world.calls] == ["pg-test-3", "pg-test-1", "pg-test-2"]


def test_nobody_waits_for_a_restart(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pgsql", "restart", "pg-test", "--pending"]) == exitcodes.OK
    assert "no member of pg-test waits" in capsys.readouterr().err
    assert world.calls == []


def test_a_copy_is_awaited(world: World) -> None:
    assert run(["pgsql", "reinit", "pg-test", "pg-test-3", "--yes"]) == exitcodes.OK
    assert world.calls == [("pg-test-3", "reinit")]
    assert world.copying["pg-test-3"] == 0


def test_maintenance_is_known_to_all_members(world: World) -> None:
    assert run(["pgsql", "pause", "pg-test", "--yes"]) == exitcodes.OK
    assert run(["pgsql", "switchover", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert run(["pgsql", "resume", "pg-test"]) == exitcodes.OK
    assert [call[1] for call in world.calls] == ["pause", "resume"]


def test_a_wait_ends_at_its_deadline_with_its_name(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Fake, "healthy", lambda self, path: False)
    short = {**deadlines.DEADLINES, "patroni.leads": 0.01}
    monkeypatch.setattr(deadlines, "DEADLINES", short)
    assert run(["pgsql", "switchover", "pg-test", "--yes"]) == exitcodes.FAILED
    assert "patroni.leads" in capsys.readouterr().err


def test_a_cluster_where_nobody_answers(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.down = {"pg-test-1", "pg-test-2", "pg-test-3"}
    assert run(["pgsql", "switchover", "pg-test", "--test"]) == exitcodes.FAILED
    assert "no member of pg-test answers" in capsys.readouterr().err


# -- HAProxy follows ----------------------------------------------------------------------------

HOSTS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")


def test_haproxy_is_on_watch_before_the_lead_moves(
    world: World, salt: type[Salt], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    move = Fake.switchover

    def watched(self: Fake, leader: str, candidate: str) -> str:
        seen.append(len(salt.jobs))
        return move(self, leader, candidate)

    monkeypatch.setattr(Fake, "switchover", watched)
    assert run(["pgsql", "switchover", "pg-test", "--yes"]) == exitcodes.OK
    assert seen == [2]
    order = {"cluster": "pg-test", "host": "10.10.10.12", "port": 8008, "tls": True,
             "new": "pg-test-2", "old": "pg-test-1"}  # fmt: skip
    assert salt.jobs[0] == (HOSTS, "pigsty_follow.leader", order)
    assert salt.jobs[1] == (HOSTS, "pigsty_follow.armed", ["pg-test"])


def test_nobody_is_on_watch_for_a_preview_or_a_restart(world: World, salt: type[Salt]) -> None:
    assert run(["pgsql", "switchover", "pg-test", "--test"]) == exitcodes.OK
    assert run(["pgsql", "restart", "pg-test", "--yes"]) == exitcodes.OK
    assert salt.jobs == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"absent": True}, "HAProxy will follow by its own checks, which takes seconds"),
        ({"silent": frozenset(HOSTS[:1])}, "on 10.10.10.11: no minion answers"),
        ({"broken": frozenset(HOSTS[2:])}, "HAProxy on 10.10.10.13 follows by its own checks"),
    ],
)
def test_the_lead_moves_also_without_salt(
    world: World,
    salt: type[Salt],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    text: str,
) -> None:
    for name, value in change.items():
        monkeypatch.setattr(salt, name, value)
    assert run(["pgsql", "switchover", "pg-test", "--yes"]) == exitcodes.OK
    assert world.leader == "pg-test-2"
    assert text in capsys.readouterr().err
