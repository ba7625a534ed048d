"""Operations on a cluster made of data: what Patroni is asked, what is waited for and said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pigsty import deadlines
from pigsty.clients.patroni import Cluster, Member, Status
from pigsty.errors import ClientError
from pigsty_cli import access, exitcodes, inventories, operating, saltapi
from pigsty_cli.commands import pgsql_operations
from pigsty_cli.main import run
from pigsty_cli.saltapi import Published, SaltError

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ROOT / "pillar/inventory/sandbox.yml"


class World:
    """A cluster of three; its members obey at once."""

    def __init__(self) -> None:
        self.leader = "pg-test-1"
        self.timeline = 1
        self.paused = False
        self.down: set[str] = set()
        self.pending: set[str] = set()
        self.copying: dict[str, int] = {}
        self.upstream: dict[str, Any] | None = None
        self.calls: list[tuple[str, ...]] = []
        self.refuses = ""
        self.lagging = 0
        self.hosts = {f"10.10.10.1{n}": f"pg-test-{n}" for n in (1, 2, 3)}
        #: System identifier of the server that pg-meta comes from; pg-test's is 7.
        self.other = "7"
        #: How often replicas and store still tell of the timeline of before, once it follows.
        self.behind = 0
        #: Replicas that have what the cluster above never had.
        self.astray: set[str] = set()

    @property
    def leads(self) -> str:
        return "standby_leader" if self.upstream else "leader"

    def view(self) -> Cluster:
        lag = 2**24 if self.lagging > 0 else 0
        members = [
            # What waits for a restart reaches the DCS later.
            Member(name, host, 5432, "replica", "streaming", self.timeline, lag, False, {})
            for host, name in self.hosts.items()
        ]
        return Cluster(
            tuple(
                replace(m, role=self.leads, state="running", lag=None)
                if m.name == self.leader
                else m
                for m in members
            ),
            self.paused,
        )


class Fake:
    """What the client of one member does."""

    world: World

    def __init__(self, host: str, port: int, **options: Any) -> None:
        self.host, self.options = host, options
        self.name = self.world.hosts.get(host, "pg-meta-1")

    def _up(self) -> None:
        if self.name in self.world.down:
            raise ClientError(f"{self.name}: refused")

    def _act(self, *call: str) -> None:
        self._up()
        assert (self.options["username"], self.options["password"]) == ("postgres", "Patroni.API")
        if self.world.refuses:
            raise ClientError(self.world.refuses)
        self.world.calls.append((self.name, *call))

    def cluster(self) -> Cluster:
        self._up()
        seen = self.world.view()
        self.world.lagging -= 1
        return seen

    def config(self) -> dict[str, Any]:
        self._up()
        return {"maximum_lag_on_failover": 1048576, "standby_cluster": self.world.upstream}

    def status(self) -> Status:
        self._up()
        if self.name == "pg-meta-1":
            return Status(self.name, "pg-meta", "running", "primary", 2, "", (), False, False,
                          "4.0", system=self.world.other)  # fmt: skip
        if self.world.copying.get(self.name):
            self.world.copying[self.name] -= 1
            return Status(self.name, "pg-test", "creating replica", "replica", None, "", (),
                          False, False, "4.0")  # fmt: skip
        leads = self.name == self.world.leader
        role = {"leader": "primary"}.get(self.world.leads, self.world.leads)
        if self.world.upstream and not leads and self.world.behind:
            self.world.behind -= 1
            self.world.timeline += not self.world.behind
        if self.name in self.world.astray:
            return Status(self.name, "pg-test", "running", "replica", self.world.timeline - 1, "",
                          (), False, False, "4.0", system="7")  # fmt: skip
        return Status(self.name, "pg-test", "running", role if leads else "replica",
                      self.world.timeline, "" if leads and role == "primary" else "streaming",
                      ("max_connections",) if self.name in self.world.pending else (),
                      self.world.paused, False, "4.0", system="7")  # fmt: skip

    def healthy(self, path: str) -> bool:
        assert path in ("/primary", "/standby-leader")
        asked = "/standby-leader" if self.world.upstream else "/primary"
        return path == asked and self.name == self.world.leader

    def follow_cluster(self, upstream: dict[str, Any] | None) -> None:
        self._act("follow", str((upstream or {}).get("host")))
        self.world.upstream = upstream
        self.world.timeline += not self.world.behind

    def switchover(self, leader: str, candidate: str) -> str:
        self._act("switchover", leader, candidate)
        self.world.leader = candidate
        self.world.timeline += 1
        return "Successfully switched over"

    def failover(self, candidate: str) -> str:
        self._act("failover", candidate)
        self.world.leader = candidate
        return "Successfully failed over"

    def restart(self) -> str:
        self._act("restart")
        self.world.pending.discard(self.name)
        return "restarted successfully"

    def reload(self) -> str:
        self._act("reload")
        return "reload scheduled"

    def reinitialize(self) -> str:
        self._act("reinit")
        self.world.astray.discard(self.name)
        self.world.copying[self.name] = 3
        return "reinitialize started"

    def pause(self, on: bool) -> None:
        self._act("pause" if on else "resume")
        self.world.paused = on


class Salt:
    """The Salt master: what is published, and what the minions answer."""

    jobs: list[tuple[tuple[str, ...], str, Any]]
    absent: bool
    silent: frozenset[str]
    broken: frozenset[str]

    def __enter__(self) -> Salt:
        if self.absent:
            raise SaltError("the Salt master doesn't run")
        return self

    def __exit__(self, *_exc: object) -> None: ...

    def publish(self, hosts: Any, function: str, arguments: Any = (), keywords: Any = None) -> Any:
        self.jobs.append((tuple(hosts), function, keywords or list(arguments)))
        return Published(function, frozenset(hosts))

    def collect(self, job: Published, deadline: Any) -> dict[str, Any]:
        assert deadline("x") == deadlines.DEADLINES["follow.armed"]
        good: Any = True if job.jid == "pigsty_follow.armed" else ["pg-test-primary"]
        answers = dict.fromkeys(job.minions - self.silent, good)
        if job.jid == "pigsty_follow.leader":
            answers |= dict.fromkeys(self.broken, "HAProxy: no such server")
        return answers


@pytest.fixture
def salt(monkeypatch: pytest.MonkeyPatch) -> type[Salt]:
    """The Salt master of the admin node."""
    members = {"jobs": [], "absent": False, "silent": frozenset(), "broken": frozenset()}
    made = type("Salt", (Salt,), members)
    monkeypatch.setattr(saltapi, "Master", made)
    return made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, salt: type[Salt]) -> World:
    """The cluster, the inventory that declares it, and the key of its deployment."""
    file = tmp_path / "pigsty.yml"
    file.write_text(SANDBOX.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "key").write_text("00" * 32, encoding="ascii")
    (tmp_path / "ca").write_text("a certificate", encoding="ascii")
    monkeypatch.setattr(inventories, "PLACES", (file,))
    monkeypatch.setattr(pgsql_operations, "KEY", str(tmp_path / "key"))
    monkeypatch.setattr(pgsql_operations, "CA", str(tmp_path / "ca"))
    made = World()
    fake = type("Fake", (Fake,), {"world": made})
    monkeypatch.setattr(access, "Actions", fake)
    monkeypatch.setattr(operating, "Patroni", fake)
    monkeypatch.setattr(deadlines, "POLL_SECONDS", 0.001)
    return made


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
    file = tmp_path / "pigsty.yml"
    line = "10.10.10.11: { pg_seq: 1, pg_role: primary"
    file.write_text(file.read_text().replace(line, f"{line}, pg_upstream: 10.10.10.10"))
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
    file = tmp_path / "pigsty.yml"
    line = "10.10.10.11: { pg_seq: 1, pg_role: primary"
    file.write_text(file.read_text().replace(line, f"{line}, pg_upstream: 10.10.10.10"))
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
