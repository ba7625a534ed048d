"""The commands themselves, with a Salt master and Patronis made of data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_salt import ALL, BAD, META, ONE, SYNCED, TWO
from fake_salt import Master as FakeMaster

from pigsty.clients.patroni import Cluster, Member
from pigsty.errors import ClientError
from pigsty_cli import deployment, exitcodes, history, inventories, lock, saltapi
from pigsty_cli.commands import apply as apply_module
from pigsty_cli.main import run
from pigsty_cli.saltapi import Recorded, SaltError

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ROOT / "pillar/inventory/sandbox.yml"


class Master(FakeMaster):
    """The fake of the runs' tests, used as the commands use the real one."""

    def __enter__(self) -> Master:
        return self

    def __exit__(self, *_exc: object) -> None: ...

    def job(self, jid: str) -> Recorded:
        if jid != "7":
            raise SaltError(f"no job {jid!r}")
        return Recorded(frozenset({ONE}), True)


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An inventory of its own at the place where the admin node has it, and no lock of others."""
    file = tmp_path / "pigsty.yml"
    file.write_text(SANDBOX.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(inventories, "PLACES", (file,))
    monkeypatch.setattr(apply_module, "PLACES", (file,))
    for module, name in ((lock.held, "apply.lock"), (history.remember, "applies.json")):
        monkeypatch.setattr(module, "__defaults__", (tmp_path / name,))
    monkeypatch.setattr(lock.held.__wrapped__, "__defaults__", (tmp_path / "apply.lock",))
    monkeypatch.setattr(history.read, "__defaults__", (tmp_path / "applies.json",))
    return file  # type: ignore[return-value]


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Master:
    fake = Master()
    monkeypatch.setattr(saltapi, "Master", lambda: fake)
    # The repository counts as built: its own phase has tests of its own.
    monkeypatch.setattr("pigsty_cli.applying.repository_flag", lambda topology: None)
    return fake


# -- apply --------------------------------------------------------------------------------------


def test_apply_shows_what_it_touches_then_a_line_a_host(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["apply", "--yes"]) == exitcodes.OK
    out, err = capsys.readouterr()
    assert "10.10.10.10" in err and "node infra etcd pgsql" in err
    assert [line.split()[0] for line in out.splitlines()] == ["HOST", *ALL]
    assert set(history.read()) == set(ALL)


def test_apply_of_one_cluster_and_module(inventory: Path, master: Master) -> None:
    assert run(["apply", "pg-meta", "-m", "etcd", "--yes"]) == exitcodes.OK
    assert master.applied == [((META,), ["etcd"])]


def test_apply_data_is_json_on_stdout(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["apply", ONE, "--test", "-o", "json"]) == exitcodes.OK
    rows = json.loads(capsys.readouterr().out)
    assert [(row["host"], row["name"], row["changed"]) for row in rows] == [(ONE, "pg-test-1", 0)]
    assert history.read() == {}, "an audit is no apply"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["pg-tset"], exitcodes.USAGE, "pg-test"),
        (["-m", "redis"], exitcodes.USAGE, "unknown module"),
        ([ONE, "-m", "etcd"], exitcodes.REFUSED, "nothing to do"),
    ],
)
def test_apply_of_what_is_not_there(
    inventory: Path,
    master: Master,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    text: str,
) -> None:
    assert run(["apply", *words]) == code
    assert text in capsys.readouterr().err
    assert master.published == []


def test_apply_refuses_an_inventory_with_errors_before_it_touches_anything(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    text = inventory.read_text(encoding="utf-8").replace("pg_seq: 2", "pg_seq: 1")
    inventory.write_text(text, encoding="utf-8")
    assert run(["apply", "--yes"]) == exitcodes.REFUSED
    err = capsys.readouterr().err
    assert "nothing was touched" in err
    assert "pg_seq" in err and "line " in err
    assert master.published == []


def test_apply_refuses_public_passwords_outside_the_sandbox(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    text = inventory.read_text(encoding="utf-8").replace("pigsty_profile: sandbox", "language: en")
    inventory.write_text(text, encoding="utf-8")
    assert run(["apply", "--yes"]) == exitcodes.REFUSED
    assert "pg_admin_password" in capsys.readouterr().err
    assert master.published == []


def test_apply_without_an_inventory(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory.unlink()
    assert run(["apply"]) == exitcodes.USAGE
    assert str(inventory) in capsys.readouterr().err


def test_apply_by_somebody_who_may_not(
    inventory: Path,
    master: Master,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(self: Path, **_options: Any) -> bool:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", denied)
        code = run(["apply"])
    assert code == exitcodes.REFUSED
    assert "root" in capsys.readouterr().err


def test_apply_goes_on_without_a_missing_host_and_says_so_first(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    master.links.remove(TWO)
    del master.answers[TWO]
    assert run(["apply", "--yes"]) == exitcodes.PARTIAL
    out, err = capsys.readouterr()
    assert "NOT REACHED: its minion isn't connected" in err
    assert "unreachable" in out
    assert TWO not in master.applied[0][0]


def test_apply_with_nobody_there(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    master.links.clear()
    master.answers.clear()
    assert run(["apply", "--yes"]) == exitcodes.REFUSED
    assert "none of the targets" in capsys.readouterr().err


def test_apply_is_refused_while_states_run_there(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    running = [{"fun": "state.highstate", "jid": "42"}]
    master.answers[TWO] = {**SYNCED, "saltutil.is_running": running}
    assert run(["apply", "--yes"]) == exitcodes.REFUSED
    assert f"{TWO}: state.highstate (job 42)" in capsys.readouterr().err
    assert master.applied == []


def test_apply_is_refused_while_another_runs(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock.held("pigsty apply pg-meta"):
        assert run(["apply", "--yes"]) == exitcodes.REFUSED
    assert "`pigsty apply pg-meta`" in capsys.readouterr().err
    assert master.published == []


@pytest.mark.parametrize(("start", "warned"), [(None, False), (0.0, True), (4e9, False)])
def test_a_master_older_than_the_program_is_warned_of(
    inventory: Path,
    master: Master,
    capsys: pytest.CaptureFixture[str],
    start: float | None,
    warned: bool,
) -> None:
    master.start = start
    assert run(["apply", "--yes"]) == exitcodes.OK
    assert ("restart salt-master" in capsys.readouterr().err) is warned


def test_apply_tells_failures_in_full(
    inventory: Path, master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    master.states = {"highstate": BAD}
    assert run(["apply", "--yes"]) == exitcodes.FAILED
    assert capsys.readouterr().out.count("states didn't compile") == len(ALL)


def test_apply_interrupted_names_the_job(
    inventory: Path,
    master: Master,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(master, "next_event", interrupt)
    assert run(["apply", "--yes"]) == exitcodes.INTERRUPTED
    assert "pigsty apply --job 1" in capsys.readouterr().err
    with lock.held("the lock is free again"):
        pass


def test_bare_nodes_without_the_admin_node_are_refused_at_once(
    inventory: Path,
    master: Master,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flag = inventory.parent / "no-release"
    monkeypatch.setattr("pigsty_cli.applying.repository_flag", lambda topology: flag)
    assert run(["apply", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert f"begin with `pigsty apply {META}`" in capsys.readouterr().err
    assert master.applied == []
    assert run(["apply", "pg-test", "--test"]) == exitcodes.OK, "an audit waits for nothing"


def test_a_job_can_be_followed_again(
    inventory: Path,
    master: Master,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(master, "returns", lambda jid: {ONE: BAD})
    assert run(["apply", "--job", "7"]) == exitcodes.FAILED
    assert "pg-test-1" in capsys.readouterr().out
    assert run(["apply", "--job", "8"]) == exitcodes.REFUSED


# -- pgsql list, status -------------------------------------------------------------------------

ROLES = {ONE: "replica", TWO: "leader", "10.10.10.13": "sync_standby", META: "leader"}


class Patroni:
    """Patronis that agree, of which some are down."""

    down: frozenset[str] = frozenset()
    paused = False

    def __init__(self, host: str, port: int, **_options: Any) -> None:
        self.host = host

    def cluster(self) -> Cluster:
        if self.host in self.down:
            raise ClientError("refused")
        hosts = [META] if self.host == META else [h for h in ROLES if h != META]
        names = {META: "pg-meta-1", **{f"10.10.10.1{n}": f"pg-test-{n}" for n in (1, 2, 3)}}
        return Cluster(
            members=tuple(
                Member(
                    name=names[host],
                    host=host,
                    port=5432,
                    role=ROLES[host],
                    state="running" if ROLES[host] == "leader" else "streaming",
                    timeline=2,
                    lag=None if ROLES[host] == "leader" else 16,
                    pending_restart=host == ONE,
                    tags={},
                )
                for host in hosts
            ),
            paused=self.paused,
        )


@pytest.fixture
def patroni(monkeypatch: pytest.MonkeyPatch) -> type[Patroni]:
    monkeypatch.setattr(deployment, "Patroni", Patroni)
    monkeypatch.setattr(Patroni, "down", frozenset())
    monkeypatch.setattr(deployment.health, "etcd", lambda host: "ok")
    return Patroni


def test_pgsql_list_has_declared_and_live_roles(
    inventory: Path, patroni: type[Patroni], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pgsql", "list", "pg-test", "-o", "json"]) == exitcodes.OK
    rows = json.loads(capsys.readouterr().out)
    assert [list(row) for row in rows] == [
        ["cluster", "member", "host", "declared", "role", "state", "timeline", "lag",
         "pending_restart", "paused"]
    ] * 3  # fmt: skip
    assert [(row["member"], row["declared"], row["role"]) for row in rows] == [
        ("pg-test-1", "primary", "replica"),
        ("pg-test-2", "replica", "primary"),
        ("pg-test-3", "replica", "sync_standby"),
    ]
    assert rows[0]["pending_restart"] is True


def test_pgsql_list_works_while_members_are_down(
    inventory: Path,
    patroni: type[Patroni],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patroni, "down", frozenset({TWO}))
    assert run(["pgsql", "list", "-o", "json"]) == exitcodes.OK
    out, err = capsys.readouterr()
    states = {row["member"]: row["state"] for row in json.loads(out)}
    assert states["pg-test-2"] == "unreachable"
    assert states["pg-test-3"] == "streaming"
    assert "pg-test has no leader" in err


def test_a_pause_that_somebody_left_on_is_told(
    inventory: Path,
    patroni: type[Patroni],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(["pgsql", "list", "pg-test"]) == exitcodes.OK
    assert "paused" not in "".join(capsys.readouterr())
    monkeypatch.setattr(patroni, "paused", True)
    assert run(["pgsql", "list", "pg-test", "-o", "json"]) == exitcodes.OK
    out, err = capsys.readouterr()
    assert all(row["paused"] for row in json.loads(out))
    assert "pigsty pgsql resume pg-test" in err


def test_pgsql_list_of_an_unknown_cluster(
    inventory: Path, patroni: type[Patroni], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pgsql", "list", "pg-tset"]) == exitcodes.USAGE
    assert "pg-test" in capsys.readouterr().err


def test_status_is_one_screen(
    inventory: Path,
    master: Master,
    patroni: type[Patroni],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    master.links.remove(ONE)
    del master.answers[ONE]
    master.accepted.remove(TWO)
    monkeypatch.setattr(patroni, "down", frozenset({ONE}))
    assert run(["status", "-o", "json"]) == exitcodes.OK
    data = json.loads(capsys.readouterr().out)
    assert data["inventory"]["valid"] is True
    assert [node["minion"] for node in data["nodes"]] == ["up", "down", "no key", "up"]
    assert data["etcd"] == [{"member": "etcd-1", "host": META, "health": "ok"}]
    clusters = {row["cluster"]: row for row in data["clusters"]}
    assert clusters["pg-meta"]["state"] == "ok"
    assert clusters["pg-test"]["leader"] == "pg-test-2"
    assert clusters["pg-test"]["state"] == "pg-test-1 unreachable"
    assert (clusters["pg-test"]["up"], clusters["pg-test"]["lag"]) == (2, 16)


def test_status_works_without_a_master_and_with_a_broken_inventory(
    inventory: Path,
    patroni: type[Patroni],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> None:
        raise SaltError("no Salt master here")

    monkeypatch.setattr(saltapi, "Master", none)
    text = inventory.read_text(encoding="utf-8").replace("pg_seq: 2", "pg_seq: 1")
    inventory.write_text(text, encoding="utf-8")
    assert run(["status"]) == exitcodes.OK
    out, err = capsys.readouterr()
    assert "INVALID" in out
    assert "no Salt master here" in err


def test_status_connect_prints_commands_to_paste(
    inventory: Path, patroni: type[Patroni], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--connect"]) == exitcodes.OK
    out = capsys.readouterr().out
    assert "psql postgres://dbuser_meta:DBUser.Meta@10.10.10.10:5433/meta\n" in out
    assert "pg-test-2" in out and "primary" in out
