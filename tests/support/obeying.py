"""A cluster of three made of data, whose members obey at once, and the Salt master beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pigsty import deadlines
from pigsty.clients.patroni import Cluster, Member, Status
from pigsty.errors import ClientError
from pigsty_cli import access, inventories, operating, saltapi
from pigsty_cli.commands import pgsql_operations
from pigsty_cli.saltapi import Published, SaltError

ROOT = Path(__file__).resolve().parents[2]
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
