"""Stores and machines of the sandbox in memory, for commands that work on several of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from fake_salt import META, ONE, THREE, TWO

from pigsty import journal as journal_module
from pigsty import operations
from pigsty.clients import health, keys
from pigsty.clients.keys import FOLDERS
from pigsty.clients.patroni import Member
from pigsty.operations import Snapshot
from pigsty_cli import (
    access,
    departing,
    inventories,
    membership,
    operating,
    remote,
    ssh,
    upgrading,
)
from pigsty_cli.errors import CliError


class World:
    """The stores and machines, and what was asked of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.residents: dict[str, list[tuple[str, str]]] = {}
        self.etcd = [row(META, "etcd-1", leader=True)]
        self.sick: set[str] = set()
        self.forgotten: list[str] = []
        self.fired: list[str] = []
        self.versions: dict[str, Any] = {}
        self.refused: dict[str, str] = {}
        #: By host, for how many seconds its member has belonged to etcd; long, if not here.
        self.ages: dict[str, float] = {}

    def call(self, _bus: Any, host: str, function: str, words: Any = None, **_: Any) -> Any:
        self.calls.append((function, host, words))
        if function in self.refused:
            raise CliError(self.refused[function])
        if function == "pigsty_etcd.age":
            return {"seconds": self.ages.get(host, 86400.0)}
        return {"members": self.etcd} if function == "pigsty_etcd.roster" else {"done": True}

    @property
    def asked(self) -> list[str]:
        return [function for function, _host, _words in self.calls]


def row(host: str, name: str, *, leader: bool = False) -> dict[str, Any]:
    """Return a member as the store tells of it."""
    return {
        "id": f"id-{name}",
        "name": name,
        "peers": [f"https://{host}:2380"],
        "learner": False,
        "leader": leader,
    }


@pytest.fixture
def world(master: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The sandbox, all well; the third member's minion was accepted."""
    found = World()
    plain = master.collect

    def collect(job: Any, deadline: Any) -> Any:
        sent = master.published[int(job.jid)]
        if sent["function"] == "pigsty_upgrade.look":
            return {h: found.versions[h] for h in sent["hosts"] if h in found.versions}
        return plain(job, deadline)

    for folder in FOLDERS.values():
        (tmp_path / "pki" / folder).mkdir(parents=True)
    (tmp_path / "pki/minions" / THREE).write_text("-----A\nkey\n-----Z")
    monkeypatch.setattr(keys, "PKI", tmp_path / "pki")
    monkeypatch.setattr(journal_module, "PATH", tmp_path / "journal.db")
    monkeypatch.setattr(ssh, "KNOWN", tmp_path / "known_hosts")
    monkeypatch.setattr(master, "collect", collect)
    monkeypatch.setattr(master, "forget", found.forgotten.append, raising=False)
    monkeypatch.setattr(master, "fire", lambda tag, _data: found.fired.append(tag), raising=False)
    monkeypatch.setattr(remote, "refresh", lambda *_: None)
    monkeypatch.setattr(remote, "call", found.call)
    monkeypatch.setattr(departing, "_residents", lambda _topology: found.residents)
    monkeypatch.setattr(health, "etcd", lambda host: "unreachable" if host in found.sick else "ok")
    for module in (departing, membership, upgrading):
        monkeypatch.setattr(module, "Master", lambda: master)
        monkeypatch.setattr(module, "PLACES", inventories.PLACES)
    return found


def edit(**groups: Mapping[str, Any]) -> None:
    """Give groups other hosts."""
    file: Path = inventories.PLACES[0]
    document = yaml.safe_load(file.read_text("utf-8"))
    for name, hosts in groups.items():
        document["all"]["children"][name.replace("_", "-")]["hosts"] = dict(hosts)
    file.write_text(yaml.safe_dump(document), "utf-8")


def etcd_of_two() -> None:
    """Declare a second member of etcd."""
    edit(etcd={META: {"etcd_seq": 1}, ONE: {"etcd_seq": 2}})


def version(*newer: str, stale: bool = False) -> dict[str, Any]:
    """Return what a machine has of PostgreSQL's packages."""
    new = "17.6" if newer else "17.5"
    return {"installed": "17.5", "candidate": new, "newer": list(newer), "stale": stale}


@pytest.fixture
def cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """pg-test, led by its first member; what Patroni is asked to do is noted."""
    done: list[str] = []
    leader = ["pg-test-1"]

    def look(_to: Any) -> Snapshot:
        names = {"pg-test-1": ONE, "pg-test-2": TWO, "pg-test-3": THREE}
        members = tuple(
            Member(
                name=name, host=host, port=5432, state="running", timeline=1, lag=0,
                role="leader" if name == leader[0] else "replica", pending_restart=False, tags={},
            )
            for name, host in names.items()
        )  # fmt: skip
        return Snapshot("pg-test", members, frozenset(names), False, {})

    def carry_out(
        _to: Any,
        _seen: Any,
        plan: operations.Plan,
        _say: Any,
        _carriers: Any = (),
        rows: list[dict[str, Any]] | None = None,
    ) -> None:
        for name in plan.members:
            if world.refused.get(f"{plan.action} {name}"):
                raise CliError(world.refused[f"{plan.action} {name}"])
            done.append(f"{plan.action} {name}")
            if rows is not None:
                rows.append({"member": name, "done": f"{plan.action} done", "seconds": 0.0})
        if plan.action == "switchover":
            leader[0] = plan.members[0]

    def call(_bus: Any, host: str, function: str, *_: Any, **__: Any) -> Any:
        done.append(f"{function} {host}")
        return {}

    monkeypatch.setattr(access, "of", lambda declared, *_: SimpleNamespace(cluster=declared))
    monkeypatch.setattr(operating, "look", look)
    monkeypatch.setattr(operating, "carry_out", carry_out)
    monkeypatch.setattr(remote, "call", call)
    return done
