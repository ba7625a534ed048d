"""`pigsty node rm`, `etcd add|rm` and `pgsql upgrade`: what runs where, and in which order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_salt import ALL, META, ONE, THREE, TWO

from pigsty import journal as journal_module
from pigsty import operations
from pigsty.clients import health, keys
from pigsty.clients.keys import FOLDERS
from pigsty.clients.patroni import Member
from pigsty.operations import Snapshot
from pigsty_cli import (
    access,
    departing,
    exitcodes,
    inventories,
    membership,
    operating,
    remote,
    ssh,
    upgrading,
)
from pigsty_cli.errors import CliError
from pigsty_cli.main import run


class World:
    """The stores and machines, and what was asked of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.residents: dict[str, list[tuple[str, str]]] = {}
        self.etcd = [_row(META, "etcd-1", leader=True)]
        self.sick: set[str] = set()
        self.forgotten: list[str] = []
        self.fired: list[str] = []
        self.versions: dict[str, Any] = {}
        self.refused: dict[str, str] = {}

    def call(self, _bus: Any, host: str, function: str, words: Any = None, **_: Any) -> Any:
        self.calls.append((function, host, words))
        if function in self.refused:
            raise CliError(self.refused[function])
        return {"members": self.etcd} if function == "pigsty_etcd.roster" else {"done": True}

    @property
    def asked(self) -> list[str]:
        return [function for function, _host, _words in self.calls]


def _row(host: str, name: str, *, leader: bool = False) -> dict[str, Any]:
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


def _edit(**groups: Mapping[str, Any]) -> None:
    """Give groups other hosts."""
    file: Path = inventories.PLACES[0]
    document = yaml.safe_load(file.read_text("utf-8"))
    for name, hosts in groups.items():
        document["all"]["children"][name.replace("_", "-")]["hosts"] = dict(hosts)
    file.write_text(yaml.safe_dump(document), "utf-8")


def _without_three() -> None:
    first, second = {"pg_seq": 1, "pg_role": "primary"}, {"pg_seq": 2, "pg_role": "replica"}
    _edit(pg_test={ONE: first, TWO: second})


def _etcd_of_two() -> None:
    _edit(etcd={META: {"etcd_seq": 1}, ONE: {"etcd_seq": 2}})


def _states(master: Any) -> list[tuple[tuple[str, ...], str]]:
    return [(hosts, words[0] if words else "") for hosts, words in master.applied]


def test_a_machine_is_cleaned_then_says_farewell_and_then_its_key_goes(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _without_three()
    ssh.remember(THREE, ["ssh-ed25519 KEY"])
    assert run(["node", "rm", THREE, "--yes"]) == exitcodes.OK
    assert _states(master) == [((THREE,), "node.remove")]
    assert world.asked == ["pigsty_etcd.roster", "pigsty_departure.farewell"]
    assert world.forgotten == [THREE]
    assert world.fired == [f"pigsty/node/{THREE}/leave"]
    assert ssh.remembered(THREE) == ()
    assert "What follows by itself" in capsys.readouterr().err


def test_a_look_at_a_departure_changes_nothing(master: Any, world: World) -> None:
    _without_three()
    assert run(["node", "rm", THREE, "--test"]) == exitcodes.OK
    (sent,) = [s for s in master.published if s["function"] == "state.apply"]
    assert sent["keywords"]["test"] is True
    assert (world.forgotten, world.fired) == ([], [])
    assert world.asked == ["pigsty_etcd.roster"]


def test_states_that_fail_leave_the_key(master: Any, world: World) -> None:
    _without_three()
    master.states["node_remove"] = ["it didn't compile"]
    assert run(["node", "rm", THREE, "--yes"]) == exitcodes.FAILED
    assert (world.forgotten, world.fired) == ([], [])


@pytest.mark.parametrize(
    ("residents", "etcd", "gone", "text"),
    [
        ({}, [], False, "stands in the inventory"),
        ({THREE: [("pg-test", "pg-test-3")]}, [], True, "pigsty pgsql rm pg-test pg-test-3"),
        ({}, [_row(THREE, "etcd-9")], True, "pigsty etcd rm etcd-9"),
    ],
)
def test_a_machine_that_is_in_use_stays(
    master: Any,
    world: World,
    residents: dict[str, Any],
    etcd: list[dict[str, Any]],
    gone: bool,
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.residents = residents
    world.etcd += etcd
    if gone:
        _without_three()
    assert run(["node", "rm", THREE, "--yes"]) == exitcodes.REFUSED
    assert text in capsys.readouterr().err
    assert master.applied == [] and world.forgotten == []


def test_a_dead_machine_is_forgotten_without_being_asked(master: Any, world: World) -> None:
    _without_three()
    del master.answers[THREE]
    master.links.discard(THREE)
    assert run(["node", "rm", THREE, "--yes"]) == exitcodes.REFUSED
    assert run(["node", "rm", THREE, "--dead", "--yes"]) == exitcodes.OK
    assert master.applied == [] and world.forgotten == [THREE]


def test_a_new_member_of_etcd_joins_before_anybody_is_told(master: Any, world: World) -> None:
    _etcd_of_two()
    assert run(["etcd", "add"]) == exitcodes.OK
    first, *rest = _states(master)
    assert first == ((ONE,), "node,etcd,node.monitor")
    clients = "node.hosts,pgsql.patroni,pgsql.vip"
    assert sorted(rest) == [((META,), f"{clients},etcd,infra"), ((ONE, TWO, THREE), clients)]


def test_when_all_belong_to_etcd_nobody_is_added(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["etcd", "add"]) == exitcodes.OK
    assert "nobody to add" in capsys.readouterr().err and master.applied == []


def test_a_member_of_etcd_leaves_when_nobody_asks_it_any_more(master: Any, world: World) -> None:
    world.etcd.append(_row(ONE, "etcd-2"))
    assert run(["etcd", "rm", "etcd-2", "--yes"]) == exitcodes.OK
    told, last = _states(master)[:-1], _states(master)[-1]
    assert {host for hosts, _ in told for host in hosts} == set(ALL)
    assert last == ((ONE,), "etcd.remove")
    assert ("pigsty_etcd.expel", META, {"member": "id-etcd-2"}) in world.calls


def test_a_member_that_the_cluster_does_not_let_go_keeps_its_data(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.etcd.append(_row(ONE, "etcd-2"))
    world.refused["pigsty_etcd.expel"] = "unhealthy cluster"
    assert run(["etcd", "rm", "etcd-2", "--yes"]) == exitcodes.FAILED
    assert "unhealthy cluster" in capsys.readouterr().err
    assert not any("etcd.remove" in states for _hosts, states in _states(master))


def test_a_look_at_a_removal_from_etcd_expels_nobody(master: Any, world: World) -> None:
    world.etcd.append(_row(ONE, "etcd-2"))
    assert run(["etcd", "rm", "etcd-2", "--test"]) == exitcodes.OK
    assert "pigsty_etcd.expel" not in world.asked
    assert all(s["keywords"]["test"] for s in master.published if s["function"] == "state.apply")


def test_the_list_shows_who_is_declared_and_who_belongs_to_it(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.etcd.append(_row(ONE, "etcd-7"))
    world.sick = {ONE}
    assert run(["etcd", "list", "-i", str(inventories.PLACES[0]), "-o", "json"]) == exitcodes.OK
    first, second = json.loads(capsys.readouterr().out)
    assert (first["member"], first["role"], first["health"]) == ("etcd-1", "leader", "ok")
    assert (second["member"], second["declared"]) == ("etcd-7", False)
    assert second["health"] == "unreachable"


def _version(*newer: str, stale: bool = False) -> dict[str, Any]:
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

    def carry_out(_to: Any, _seen: Any, plan: operations.Plan, *_: Any) -> list[dict[str, Any]]:
        done.extend(f"{plan.action} {name}" for name in plan.members)
        if plan.action == "switchover":
            leader[0] = plan.members[0]
        return [{"member": plan.members[0], "done": plan.action, "seconds": 0.0}]

    def call(_bus: Any, host: str, function: str, *_: Any, **__: Any) -> Any:
        done.append(f"{function} {host}")
        return {}

    monkeypatch.setattr(access, "of", lambda *_: None)
    monkeypatch.setattr(operating, "look", look)
    monkeypatch.setattr(operating, "carry_out", carry_out)
    monkeypatch.setattr(remote, "call", call)
    return done


def test_an_upgrade_goes_from_replica_to_replica_and_the_old_leader_comes_last(
    world: World, cluster: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.versions = dict.fromkeys((ONE, TWO, THREE), _version("postgresql-17"))
    assert run(["pgsql", "upgrade", "pg-test", "--yes", "-o", "json"]) == exitcodes.OK
    install = "pigsty_upgrade.install"
    assert cluster == [
        f"{install} {TWO}", "restart pg-test-2", f"{install} {THREE}", "restart pg-test-3",
        "switchover pg-test-2", f"{install} {ONE}", "restart pg-test-1",
    ]  # fmt: skip
    data = json.loads(capsys.readouterr().out)
    assert [step["action"] for step in data["plan"]][:2] == ["packages", "restart"]
    assert len(data["steps"]) == len(cluster)


def test_a_look_at_an_upgrade_touches_nobody(world: World, cluster: list[str]) -> None:
    world.versions = dict.fromkeys((ONE, TWO, THREE), _version("postgresql-17"))
    assert run(["pgsql", "upgrade", "pg-test", "--test"]) == exitcodes.OK
    assert cluster == []


def test_an_upgrade_of_whom_one_is_silent_is_refused(
    world: World, cluster: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.versions = dict.fromkeys((ONE, TWO), _version("postgresql-17"))
    assert run(["pgsql", "upgrade", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert "pg-test-3: no answer" in capsys.readouterr().err and cluster == []


def test_a_cluster_that_runs_the_newest_release_is_left_alone(
    world: World, cluster: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.versions = dict.fromkeys((ONE, TWO, THREE), _version())
    assert run(["pgsql", "upgrade", "pg-test", "--yes"]) == exitcodes.OK
    assert "all members of pg-test run 17.5" in capsys.readouterr().err and cluster == []
