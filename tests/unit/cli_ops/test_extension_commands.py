"""`pigsty pgsql ext` and `config`, with minions made of data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pigsty_cli import aspects, exitcodes, pgsql_looks
from pigsty_cli.commands import pgsql_extensions, pgsql_operations
from pigsty_cli.main import run

ROOT = Path(__file__).resolve().parents[3]
X = {"name": "x", "version": "", "schema": "", "absent": False, "default": False}


def extension(leader: bool = False, **more: Any) -> dict[str, Any]:
    found = {"leader": leader, "declared": {"test": [X]}, "created": {"test": {}}}
    found |= {"available": {"x": "1.0"}, "wanted": [], "lacking": [], "missing": []}
    return {**found, "loaded": [], "pending": False, "error": "", **more}


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the members say of themselves."""
    said: dict[str, Any] = {"pg-test-1": extension(), "pg-test-2": extension(leader=True)}
    monkeypatch.setattr(pgsql_looks, "ask", lambda *_: said)
    return said


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Which aspects were carried out: hosts and states."""
    found: list[Any] = []

    def carry_out(cluster: str, where: Any, what: str, output: str, *, test: bool, **_: Any) -> int:
        from pigsty import topology

        declared = topology.load(ROOT / "pillar/inventory/sandbox.yml")
        work = where(declared, declared.pg_clusters[cluster])
        found.append((test, [(job.hosts, job.states) for job in work]))
        return 0

    monkeypatch.setattr(aspects, "carry_out", carry_out)
    return found


def ask(*words: str) -> int:
    return run(["pgsql", *words, "-i", str(ROOT / "pillar/inventory/sandbox.yml")])


def test_extensions_are_shown_by_member_and_folded_for_people(
    looks: dict[str, Any], capsys: Any
) -> None:
    assert ask("ext", "pg-test", "-o", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["member"], row["todo"]) for row in rows] == [
        ("pg-test-1", "create"),
        ("pg-test-2", "create"),
    ]
    assert ask("ext", "pg-test") == 0
    assert "all     test      x" in capsys.readouterr().out


def test_a_member_that_would_not_start_is_named_and_nobody_is_restarted(
    looks: dict[str, Any], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(pgsql_operations, "operate", never)
    looks["pg-test-1"]["missing"] = ["pg_cron"]
    assert ask("ext", "pg-test") == 0
    assert "pg-test-1 would not start again: pg_cron" in capsys.readouterr().err
    assert ask("ext", "pg-test", "--restart", "--yes") == exitcodes.REFUSED
    assert "nobody was restarted" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--apply",), ("--test",), ("--apply", "--test")])
def test_an_apply_brings_the_repository_and_the_members(
    carried: list[Any], words: tuple[str, ...]
) -> None:
    assert ask("ext", "pg-test", *words) == 0
    members = ("10.10.10.11", "10.10.10.12", "10.10.10.13")
    work = [(("10.10.10.10",), ("infra.repo",)), (members, pgsql_extensions.STATES)]
    assert carried == [("--test" in words, work)]


def test_the_configuration_is_applied_by_one_state_of_the_members(carried: list[Any]) -> None:
    assert ask("config", "pg-test", "--test") == 0
    assert ask("config", "pg-test", "--apply") == 0
    hosts = ("10.10.10.11", "10.10.10.12", "10.10.10.13")
    assert carried == [(test, [(hosts, ("pgsql.patroni",))]) for test in (True, False)]


@pytest.mark.parametrize(
    "words",
    [
        ("ext", "pg-test", "--apply", "--update"),
        ("ext", "pg-test", "x", "--apply"),
        ("config", "pg-test", "work_mem", "--apply"),
    ],
)
def test_what_makes_no_sense_together_is_refused(words: tuple[str, ...]) -> None:
    assert ask(*words) == exitcodes.USAGE


@pytest.mark.parametrize("word", ["ext", "config"])
def test_an_unknown_cluster_is_told_with_the_near_ones(word: str, capsys: Any) -> None:
    assert ask(word, "pg-tets") != 0
    assert "did you mean pg-test" in capsys.readouterr().err


def test_settings_are_shown_with_who_wins(looks: dict[str, Any], capsys: Any) -> None:
    setting = {"value": "1MB", "source": "configuration file", "pending": True}
    setting["file"] = "/data/postgresql.auto.conf"
    for name in list(looks):
        looks[name] = {
            "leader": name.endswith("2"),
            "declared": {"work_mem": "9MB"},
            "origin": {"work_mem": "pg_parameters"},
            "dcs": {},
            "changes": {},
            "settings": {"work_mem": setting},
            "altered": {"work_mem": "1MB"},
            "errors": {},
        }
    assert ask("config", "pg-test") == 0
    shown = capsys.readouterr()
    assert "ALTER SYSTEM (1MB) on pg-test-1, pg-test-2 wins" in shown.out
    assert "pigsty pgsql restart pg-test --pending" in shown.err
