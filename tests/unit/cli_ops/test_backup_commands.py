"""`pigsty pgsql backup|backups`, with a cluster and a minion made of data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pigsty.clients.patroni import Cluster, Member
from pigsty.events import WorkStep
from pigsty_cli import deployment, exitcodes, remote, saltapi
from pigsty_cli.main import run

ROOT = Path(__file__).resolve().parents[3]
STOP = 1772366400
ENTRY = {
    "label": "20260301-120000F",
    "type": "full",
    "timestamp": {"start": STOP - 9, "stop": STOP},
    "lsn": {"start": "0/1", "stop": "0/2"},
    "archive": {"start": "0001", "stop": "0002"},
    "info": {"size": 100, "repository": {"delta": 10}},
}


class Master:
    """There is one."""

    def __enter__(self) -> Master:
        return self

    def __exit__(self, *_exc: object) -> None: ...


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was called on which minion; the second member of pg-test leads."""

    def view(member: Any) -> Cluster:
        members = tuple(
            Member(
                name=f"pg-test-{n}",
                host=f"10.10.10.1{n}",
                port=5432,
                role="leader" if n == 2 else "replica",
                state="running",
                timeline=1,
                lag=0,
                pending_restart=False,
                tags={},
            )
            for n in (1, 2, 3)
        )
        return Cluster(members, paused=False)

    made: list[Any] = []

    def call(_bus: Any, host: str, function: str, keywords: Any = None, **_: Any) -> Any:
        made.append((host, function, keywords))
        if function.endswith(".look"):
            answer = {"name": "pg-test", "status": {"code": 0, "message": "ok"}, "backup": [ENTRY]}
            return {"info": [answer], "now": STOP, "role": "primary"}
        from pigsty import backups

        answer = [{"name": "x", "status": {"code": 0}, "backup": [ENTRY]}]
        return backups.parse(answer, "x").backups[0].to_dict()

    monkeypatch.setattr(deployment, "_view", view)
    monkeypatch.setattr(remote, "call", call)
    monkeypatch.setattr(remote, "refresh", lambda *_: None)
    monkeypatch.setattr(saltapi, "Master", Master)
    return made


def ask(*words: str) -> int:
    return run(["pgsql", *words, "-i", str(ROOT / "pillar/inventory/sandbox.yml")])


def test_a_backup_is_made_on_the_live_leader(calls: list[Any], capsys: Any) -> None:
    assert ask("backup", "pg-test", "--type", "diff") == exitcodes.OK
    assert calls == [("10.10.10.12", "pigsty_pgbackrest.backup", {"kind": "diff"})]
    assert "20260301-120000F" in capsys.readouterr().out


def test_one_sees_how_far_a_backup_is(
    calls: list[Any], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = remote.call

    def call(bus: Any, host: str, *words: Any, screen: Any, **more: Any) -> Any:
        screen.begin()
        screen.step(WorkStep(host, "1", "copies files", 43, 100, ""))
        screen.step(WorkStep("10.10.10.99", "1", "somebody else's", 0, 0, ""))
        screen.tick()
        return made(bus, host, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(remote, "call", call)
    assert ask("backup", "pg-test") == exitcodes.OK
    what = "incr backup of pg-test on 10.10.10.12"
    *said, end = capsys.readouterr().err.splitlines()
    assert said == [f"{what} …", f"{what}: copies files, 43 % of 100 B (0 s)"]
    assert end.startswith(f"{what}: done in ")


def test_backups_and_their_window(calls: list[Any], capsys: Any) -> None:
    assert ask("backups", "pg-test", "-o", "json") == exitcodes.OK
    found = json.loads(capsys.readouterr().out)
    assert [entry["label"] for entry in found["backups"]] == ["20260301-120000F"]
    assert found["window"]["from"] == "2026-03-01 12:00:00+00"
    assert found["host"] == "10.10.10.12"


def test_the_table_says_the_window(calls: list[Any], capsys: Any) -> None:
    assert ask("backups", "pg-test") == exitcodes.OK
    said = capsys.readouterr()
    assert "0001…0002" in said.out
    assert "after 2026-03-01 12:00:00+00" in said.err


def test_a_repository_that_cannot_be_read_is_no_empty_one(
    calls: list[Any], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = {"status": {"code": 99, "message": "[HostConnectError] s3:9000\n  on 6 retries"}}
    answer = {"name": "pg-test", "status": {"code": 99, "message": "other"}, "repo": [silent]}
    monkeypatch.setattr(remote, "call", lambda *_, **__: {"info": [answer]})
    for words in ((), ("-o", "json")):
        assert ask("backups", "pg-test", *words) == exitcodes.FAILED
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert "the repository of pg-test: [HostConnectError] s3:9000" in said.err


def test_an_unknown_cluster_and_type(calls: list[Any], capsys: Any) -> None:
    assert ask("backup", "pg-tset") != exitcodes.OK
    assert "pg-test" in capsys.readouterr().err
    assert ask("backup", "pg-test", "--type", "half") == exitcodes.USAGE
    assert calls == []
