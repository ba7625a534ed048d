"""`pigsty pgsql svc`, with three HAProxies made of data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pigsty import topology
from pigsty_cli import aspects, exitcodes, saltapi
from pigsty_cli.commands import pgsql_svc
from pigsty_cli.main import run
from pigsty_cli.saltapi import Published

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ("10.10.10.11", "10.10.10.12", "10.10.10.13")


class Balancers:
    """The HAProxies: by host, part and member the state; pg-test-1 leads."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str, str], str] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.told: list[tuple[tuple[str, ...], list[str], str, str]] = []
        self.broken: dict[str, str] = {}

    def __enter__(self) -> Balancers:
        return self

    def __exit__(self, *_exc: object) -> None: ...

    def publish(self, hosts: Any, function: str, arguments: list[Any]) -> Published:
        """Do at once what was asked."""
        parts = arguments[0]
        if function == "pigsty_haproxy.turn":
            _, member, state = arguments
            self.told.append((tuple(hosts), parts, member, state))
            self.states |= {(h, part, member): state for h in hosts for part in parts}
        jid = str(len(self.jobs))
        self.jobs[jid] = {h: self.broken.get(h) or self._rows(h, parts) for h in hosts}
        return Published(jid, frozenset(hosts))

    def collect(self, job: Published, _deadline: Any) -> dict[str, Any]:
        """Return the answers, but for those of the silent."""
        return {h: a for h, a in self.jobs[job.jid].items() if a != "silent"}

    def collect_all(self, jobs: Any, deadline: Any) -> list[dict[str, Any]]:
        """Return the answers to several questions."""
        return [self.collect(job, deadline) for job in jobs]

    def _rows(self, host: str, parts: list[str]) -> list[dict[str, Any]]:
        members = {"pg-test-offline": "3", "pg-test-offline.backup": "12"}
        return [
            {
                "part": part,
                "member": f"pg-test-{n}",
                "up": (n == "1") == part.endswith(("primary", "default")) or "backup" in part,
                "state": self.states.get((host, part, f"pg-test-{n}"), "ready"),
                "weight": 100,
                "sessions": 1,
                "check": "L7OK 200",
            }
            for part in parts
            for n in members.get(part, "123")
        ]


@pytest.fixture
def balancers(monkeypatch: pytest.MonkeyPatch) -> Balancers:
    made = Balancers()
    monkeypatch.setattr(saltapi, "Master", lambda: made)
    return made


def svc(*words: str) -> int:
    return run(["pgsql", "svc", "-i", str(ROOT / "pillar/inventory/sandbox.yml"), *words])


def test_every_haproxy_is_asked_and_what_they_agree_on_is_one_row(
    balancers: Balancers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert svc("pg-test") == exitcodes.OK
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 3 + 3 + 6 + 3
    assert lines[1].split() == ["pg-test-primary", "5433", "pg-test-1", "up", "ready", "100", "3"]
    assert svc("pg-test", "-o", "json") == exitcodes.OK
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3 * 15 and {row["host"] for row in rows} == set(HOSTS)


def test_drain_is_shown_then_done_everywhere_then_done_already(
    balancers: Balancers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert svc("pg-test", "--drain", "pg-test-2", "--test", "-o", "json") == exitcodes.OK
    shown = json.loads(capsys.readouterr().out)
    assert len(shown) == 9 and balancers.told == []
    assert svc("pg-test", "--drain", "pg-test-2", "-o", "json") == exitcodes.OK
    assert json.loads(capsys.readouterr().out) == shown
    parts = ["pg-test-replica", "pg-test-replica.backup", "pg-test-offline.backup"]
    assert balancers.told == [(HOSTS, parts, "pg-test-2", "drain")]
    assert svc("pg-test", "--drain", "pg-test-2") == exitcodes.OK
    assert "drained already" in capsys.readouterr().err and len(balancers.told) == 1


def test_only_the_haproxies_that_differ_are_told(balancers: Balancers) -> None:
    balancers.states["10.10.10.12", "pg-test-replica", "pg-test-2"] = "maint"
    assert svc("pg-test", "--ready", "pg-test-2") == exitcodes.OK
    assert balancers.told == [(("10.10.10.12",), ["pg-test-replica"], "pg-test-2", "ready")]


def test_the_last_one_of_a_service_goes_only_if_it_is_meant(
    balancers: Balancers, capsys: pytest.CaptureFixture[str]
) -> None:
    for host in HOSTS:
        for part, member in (("", "1"), ("", "2"), (".backup", "1"), (".backup", "2")):
            balancers.states[host, f"pg-test-replica{part}", f"pg-test-{member}"] = "drain"
            balancers.states[host, f"pg-test-offline{part}", f"pg-test-{member}"] = "drain"
    assert svc("pg-test", "--maint", "pg-test-3") == exitcodes.REFUSED
    said = capsys.readouterr().err
    assert "nobody is left behind pg-test-offline on 10.10.10.11" in said and not balancers.told
    assert svc("pg-test", "--maint", "pg-test-3", "--yes") == exitcodes.OK
    assert balancers.told


def test_who_does_not_answer_is_named(
    balancers: Balancers, capsys: pytest.CaptureFixture[str]
) -> None:
    balancers.broken = {"10.10.10.12": "silent", "10.10.10.13": "ERROR: HAProxy doesn't answer"}
    assert svc("pg-test") == exitcodes.PARTIAL
    said = capsys.readouterr().err.splitlines()
    assert "HAProxy on 10.10.10.12: its minion doesn't answer" in said
    assert "HAProxy on 10.10.10.13: HAProxy doesn't answer" in said
    balancers.broken["10.10.10.11"] = "silent"
    assert svc("pg-test") == exitcodes.FAILED


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("pg-tset",), "did you mean pg-test"),
        (("pg-test", "--drain", "pg-test-9"), "unknown member 'pg-test-9'"),
        (("pg-test", "--drain", "pg-test-1", "--ready", "pg-test-1"), "at a time"),
        (("pg-test", "--drain", "pg-test-1", "--apply"), "at a time"),
    ],
)
def test_mistakes(
    balancers: Balancers, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], text: str
) -> None:
    assert svc(*words) != exitcodes.OK
    assert text in capsys.readouterr().err and not balancers.jobs


def test_apply_writes_the_files_of_members_and_of_who_carries_them_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[Any] = []
    monkeypatch.setattr(aspects, "carry_out", lambda *a, **k: done.append((a, k)) or exitcodes.OK)
    assert svc("pg-test", "--apply", "--test") == exitcodes.OK
    assert done[0][0][0] == "pg-test" and done[0][1] == {"test": True}
    text = (ROOT / "pillar/inventory/sandbox.yml").read_text()
    (tmp_path / "one.yml").write_text(
        text.replace(
            "pg_cluster: pg-test\n", "pg_cluster: pg-test\n        pg_service_provider: infra\n"
        )
    )
    for path, jobs in (
        (ROOT / "pillar/inventory/sandbox.yml", [(HOSTS, ("pgsql.service",))]),
        (
            tmp_path / "one.yml",
            [(HOSTS, ("pgsql.service",)), (("10.10.10.10",), ("node.haproxy",))],
        ),
    ):
        found = topology.load(path)
        work = pgsql_svc._where(found, found.pg_clusters["pg-test"])
        assert [(job.hosts, job.states) for job in work] == jobs
