"""`pigsty pgsql user|db|hba`: what runs, for whom, and what is asked before."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_salt import META, ONE, THREE, TWO

from pigsty_cli import deployment, exitcodes
from pigsty_cli.commands import pgsql_objects
from pigsty_cli.main import run

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ROOT / "pillar/inventory/sandbox.yml"
MEMBERS = (ONE, TWO, THREE)
OBJECTS = ["pgsql.objects,pgsql.pgbouncer"]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Live roles by address, for the commands to find."""
    roles = {META: "primary", ONE: "replica", TWO: "primary", THREE: "replica"}

    def members(clusters: Any) -> Any:
        return {
            cluster.name: [
                SimpleNamespace(
                    member=m.name, host=m.ip, role=roles.get(m.ip, ""),
                    state="running" if m.ip in roles else "unreachable",
                )
                for m in cluster.members
            ]
            for cluster in clusters
        }  # fmt: skip

    monkeypatch.setattr(deployment, "live_members", members)
    return roles


def only(master: Any) -> Any:
    return master.published[-1]["keywords"]["pillar"]["pigsty_only"]


def test_all_users(master: Any, live: Any) -> None:
    assert run(["pgsql", "user", "pg-test"]) == exitcodes.OK
    assert master.applied == [(MEMBERS, OBJECTS)]
    assert only(master) == {"users": []}


def test_some_users(master: Any, live: Any) -> None:
    assert run(["pgsql", "user", "pg-meta", "dbuser_view", "dbuser_dba", "--test"]) == exitcodes.OK
    assert only(master) == {"users": ["dbuser_view", "dbuser_dba"]}
    assert master.published[-1]["keywords"]["test"] is True


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["user", "pg-meta", "dbuser_veiw"], "did you mean dbuser_view"),
        (["user", "pg-mate", "dbuser_view"], "unknown cluster"),
        (["db", "pg-meta", "mete"], "did you mean meta"),
        (["db", "pg-meta", "--recreate"], "names"),
    ],
)
def test_what_is_not_declared(
    master: Any, live: Any, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert run(["pgsql", *words]) == exitcodes.USAGE
    assert text in capsys.readouterr().err
    assert master.published == []


@pytest.mark.parametrize(
    ("roles", "text"),
    [({}, "no leader"), ({ONE: "standby_leader", TWO: "replica"}, "follows another cluster")],
)
def test_nobody_who_could_write(
    master: Any,
    live: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    roles: dict[str, str],
    text: str,
) -> None:
    live.clear()
    live.update(roles)
    assert run(["pgsql", "user", "pg-test"]) == exitcodes.REFUSED
    assert text in capsys.readouterr().err
    assert master.published == []


def test_a_lead_that_moves_meanwhile_is_no_success(
    master: Any, live: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    publish = master.publish

    def turning(*words: Any, **more: Any) -> Any:
        live.update({ONE: "primary", TWO: "replica"})
        return publish(*words, **more)

    master.publish = turning
    assert run(["pgsql", "db", "pg-test", "test"]) == exitcodes.REFUSED
    assert "moved away from pg-test-2" in capsys.readouterr().err


def test_one_database(master: Any, live: Any) -> None:
    assert run(["pgsql", "db", "pg-test", "test", "postgres"]) == exitcodes.OK
    assert master.applied == [(MEMBERS, OBJECTS)]
    assert only(master) == {"databases": ["test", "postgres"]}


def test_a_database_is_made_anew_only_when_somebody_says_so(
    master: Any, live: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pgsql", "db", "pg-test", "test", "--recreate"]) == exitcodes.REFUSED
    assert "database's name" in capsys.readouterr().err
    assert master.published == []
    assert run(["pgsql", "db", "pg-test", "test", "--recreate", "--yes"]) == exitcodes.OK
    assert only(master) == {"databases": ["test"], "recreate": ["test"]}
    assert "with all its data" in capsys.readouterr().err


def test_an_audit_of_a_database_made_anew_asks_nothing(master: Any, live: Any) -> None:
    assert run(["pgsql", "db", "pg-test", "test", "--recreate", "--test"]) == exitcodes.OK
    assert master.published[-1]["keywords"]["test"] is True


def test_access_rules_of_postgresql_and_pgbouncer(master: Any, live: Any) -> None:
    assert run(["pgsql", "hba", "pg-test", "--test"]) == exitcodes.OK
    assert master.applied == [(MEMBERS, ["pgsql.hba,pgsql.pgbouncer"])]
    assert only(master) == {"hba": []}


def test_access_rules_are_shown_by_live_role(
    master: Any,
    live: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pgsql_objects, "find", lambda _inventory: SANDBOX)
    del live[THREE]
    assert run(["pgsql", "hba", "pg-test", "--show", "-o", "json"]) == exitcodes.OK
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert {row["member"] for row in rows} == {"pg-test-1", "pg-test-2", "pg-test-3"}
    assert {row["server"] for row in rows} == {"postgres", "pgbouncer"}
    assert "pg-test-3 doesn't answer" in err
    assert master.published == []


def test_members_with_the_same_line_share_a_row(
    live: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgsql_objects, "find", lambda _inventory: SANDBOX)
    assert run(["pgsql", "hba", "pg-test", "--show"]) == exitcodes.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["SERVER", "MEMBER", "FOR"]
    assert {line.split()[1] for line in lines[1:]} == {"pg-test"}


def test_validate_shows_them_without_asking_anybody(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(SANDBOX), "--show", "hba", "-o", "json"]) == exitcodes.OK
    rows = json.loads(capsys.readouterr().out)
    assert {row["cluster"] for row in rows} == {"pg-meta", "pg-test"}
    assert any(row["source"].startswith("pg_hba_rules[0] (line ") for row in rows)
