"""`pigsty pgsql add|rm` on the sandbox's inventory: what runs where, and in which order."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_salt import META, ONE, THREE, TWO
from scaled import lives, living

from pigsty import dcs, operations
from pigsty.clients.patroni import Member
from pigsty.clients.store import Snapshot
from pigsty.deadlines import DeadlineExceeded
from pigsty.errors import ClientError
from pigsty_cli import access, adding, exitcodes, inventories, keepers, operating, remote, removing
from pigsty_cli.errors import CliError
from pigsty_cli.main import run

HOSTS = {ONE: "pg-test-1", TWO: "pg-test-2", THREE: "pg-test-3"}
LOST = {
    "data": "/data",
    "data_bytes": 2048,
    "databases": [{"name": "test", "bytes": 10}],
    "slots": [],
    "clients": 2,
    "backups": ["F"],
    "repository": "/backup",
}


class World:
    """etcd and the machines' records, and what was asked of them."""

    def __init__(self) -> None:
        members = tuple(lives(name, host) for host, name in HOSTS.items())
        self.live = living(members=members)
        self.records: dict[str, Any] = {host: _record(name) for host, name in HOSTS.items()}
        self.calls: list[tuple[str, Any]] = []
        self.serving = True
        self.dumb: set[str] = set()

    def call(self, _bus: Any, _host: str, function: str, words: Any = None, **_: Any) -> Any:
        self.calls.append((function, words))
        return self.live.to_dict() if function == "pigsty_dcs.look" else {"deleted": 1}


def _record(name: str) -> dict[str, Any]:
    keys = ("safeguard", "remove_packages")
    return {"cluster": "pg-test", "instance": name, "remove_data": True, "remove_backup": None} | (
        dict.fromkeys(keys, False)
    )


@pytest.fixture
def world(master: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """The cluster of three, all well."""
    found = World()
    plain = master.collect

    def collect(job: Any, deadline: Any) -> Any:
        function = master.published[int(job.jid)]["function"]
        hosts = master.published[int(job.jid)]["hosts"]
        if function == "pigsty_removal.trace":
            return {host: found.records.get(host) for host in hosts}
        if function == "pigsty_removal.measure":
            return dict.fromkeys(hosts, LOST)
        if function == "pigsty_routes.await_up":
            return {host: {"pg-test-3": ["pg-test-replica"]} for host in hosts}
        return plain(job, deadline)

    monkeypatch.setattr(master, "collect", collect)
    monkeypatch.setattr(remote, "refresh", lambda *_: None)
    monkeypatch.setattr(remote, "call", found.call)
    monkeypatch.setattr(removing, "Master", lambda: master)
    monkeypatch.setattr(adding, "Master", lambda: master)
    monkeypatch.setattr(removing, "PLACES", inventories.PLACES)
    monkeypatch.setattr(adding, "PLACES", inventories.PLACES)
    monkeypatch.setattr(removing, "serving", lambda live: found.serving)
    monkeypatch.setattr(
        removing, "answering", lambda live: frozenset(m.name for m in live.members) - found.dumb
    )
    monkeypatch.setattr(adding, "_await_streaming", lambda member: None)
    monkeypatch.setattr("pigsty_cli.applying.repository_flag", lambda topology: None)
    return found


def _edit(**hosts: Any) -> None:
    """Give pg-test other hosts; without any the cluster is gone."""
    file: Path = inventories.PLACES[0]
    document = yaml.safe_load(file.read_text("utf-8"))
    if hosts:
        document["all"]["children"]["pg-test"]["hosts"] = hosts["hosts"]
    else:
        del document["all"]["children"]["pg-test"]
    file.write_text(yaml.safe_dump(document), "utf-8")


def _two() -> None:
    _edit(
        hosts={ONE: {"pg_seq": 1, "pg_role": "primary"}, TWO: {"pg_seq": 2, "pg_role": "replica"}}
    )


#: Registration comes and goes with the members.
WATCHED = ((META,), "infra")


def _states(master: Any) -> list[tuple[tuple[str, ...], str]]:
    return [(hosts, words[0] if words else "") for hosts, words in master.applied]


def test_services_forget_a_member_before_it_is_stopped(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _two()
    assert run(["pgsql", "rm", "pg-test", "pg-test-3", "--yes", "-o", "json"]) == exitcodes.OK
    first, second, *rest = _states(master)
    assert first == ((ONE, TWO), "pgsql.service")
    assert second == ((THREE,), "pgsql.remove")
    peers = "node.hosts,pgsql.hba,pgsql.pgbouncer,pgsql.patroni"
    assert rest == [((ONE, TWO), peers), WATCHED]
    removal = next(s for s in master.published if s["arguments"] == ["pgsql.remove"])
    order = removal["keywords"]["pillar"]["pigsty_removal"][THREE]
    assert order == {
        "instance": "pg-test-3",
        "last": False,
        "data": True,
        "backups": False,
        "packages": False,
    }
    assert removal["keywords"]["force"] is True, "the host has no pillar any more"
    forget = world.calls[-1]
    assert forget == (
        "pigsty_dcs.forget",
        {"cluster": "pg-test", "members": ["pg-test-3"], "whole": False},
    )
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert data["peers"] == [ONE, TWO] and data["lost"][THREE]["data_bytes"] == 2048
    assert "lost: 2.0 KiB in /data; 2 sessions end; 1 backup in /backup kept" in err
    assert "30 minutes more" in err and f"pigsty node rm {THREE}" in err


def test_where_another_member_is_to_live_its_exporters_come_with_it(
    master: Any, world: World
) -> None:
    _two()
    file: Path = inventories.PLACES[0]
    document = yaml.safe_load(file.read_text("utf-8"))
    hosts = {THREE: {"pg_seq": 1, "pg_role": "primary", "pg_upstream": ONE}}
    document["all"]["children"]["pg-dr"] = {"hosts": hosts, "vars": {"pg_cluster": "pg-dr"}}
    file.write_text(yaml.safe_dump(document), "utf-8")
    assert run(["pgsql", "rm", "pg-test", "pg-test-3", "--yes"]) == exitcodes.OK
    assert ((THREE,), "node") in _states(master)


def test_a_whole_cluster_goes_with_its_keys_and_its_user(master: Any, world: World) -> None:
    _edit()
    assert run(["pgsql", "rm", "pg-test", "--yes"]) == exitcodes.OK
    assert _states(master) == [((ONE, TWO, THREE), "pgsql.remove"), ((META,), "etcd"), WATCHED]
    function, words = world.calls[-1]
    assert function == "pigsty_dcs.forget" and words["whole"] is True


def test_a_preview_and_a_refusal_change_nothing(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _two()
    assert run(["pgsql", "rm", "pg-test", "pg-test-3", "--test"]) == exitcodes.OK
    runs = [sent for sent in master.published if sent["function"] == "state.apply"]
    assert len(runs) == 4 and all(sent["keywords"]["test"] for sent in runs)
    assert not any(function == "pigsty_dcs.forget" for function, _ in world.calls)
    master.published.clear()
    cases = {
        ("pg-test-1", "--yes"): exitcodes.REFUSED,
        ("pg-test-3",): exitcodes.REFUSED,  # nobody is there to type the cluster's name
        ("pg-test-9", "--yes"): exitcodes.USAGE,
        ("pg-meta-1", "--yes"): exitcodes.USAGE,
    }
    for words, code in cases.items():
        assert run(["pgsql", "rm", "pg-test", *words]) == code, words
    world.serving = False
    assert run(["pgsql", "rm", "pg-test", "pg-test-3", "--yes"]) == exitcodes.REFUSED
    assert master.applied == []
    assert "doesn't serve" in capsys.readouterr().err


def test_a_service_that_still_leads_there_stops_the_removal(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _two()
    master.states["pgsql_service"] = ["no"]
    assert run(["pgsql", "rm", "pg-test", "pg-test-3", "--yes"]) == exitcodes.FAILED
    assert _states(master) == [((ONE, TWO), "pgsql.service")]
    assert "nothing was removed" in capsys.readouterr().err


def test_a_member_that_could_not_be_removed_keeps_its_key(master: Any, world: World) -> None:
    _two()
    master.states["pgsql_remove"] = ["no"]
    assert run(["pgsql", "rm", "pg-test", "pg-test-3", "--yes"]) == exitcodes.PARTIAL
    assert not any(function == "pigsty_dcs.forget" for function, _ in world.calls)


def test_a_dead_machine_is_forgotten_without_being_asked(master: Any, world: World) -> None:
    _two()
    master.links.discard(THREE)
    del master.answers[THREE], world.records[THREE]
    live = world.live
    world.live = replace(live, members=live.members[:2])
    assert run(["pgsql", "rm", "pg-test", THREE, "--yes"]) == exitcodes.USAGE, "nothing is left"
    world.live = live
    assert run(["pgsql", "rm", "pg-test", THREE, "--yes"]) == exitcodes.REFUSED


def _die(master: Any, world: World, host: str) -> None:
    """A machine is gone: no minion, no record, no Patroni; its key in etcd lives on for a while."""
    master.links.discard(host)
    del master.answers[host], world.records[host]
    world.dumb.add(HOSTS[host])


def test_who_is_called_dead_loses_its_key_and_the_others_are_told(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _two()
    _die(master, world, THREE)
    words = ["pgsql", "rm", "pg-test", "pg-test-3", "--dead", "-o", "json"]
    assert run([*words, "--test"]) == exitcodes.OK
    assert not any(function == "pigsty_dcs.forget" for function, _ in world.calls)
    master.published.clear()
    assert run([*words, "--yes"]) == exitcodes.OK
    assert _states(master) == [
        ((ONE, TWO), "pgsql.service"),
        ((ONE, TWO), "node.hosts,pgsql.hba,pgsql.pgbouncer,pgsql.patroni"),
        WATCHED,
    ], "nothing is sent to a dead machine"
    assert not any(sent["function"] == "pigsty_removal.measure" for sent in master.published)
    assert world.calls[-1] == (
        "pigsty_dcs.forget",
        {"cluster": "pg-test", "members": ["pg-test-3"], "whole": False},
    )
    assert "pg-test-3 on 10.10.10.13 is taken for dead" in capsys.readouterr().err


def test_dead_is_believed_of_nobody_who_answers(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _two()
    words = ["pgsql", "rm", "pg-test", "pg-test-3", "--dead", "--yes"]
    assert run(words) == exitcodes.REFUSED
    assert "without --dead" in capsys.readouterr().err
    _die(master, world, THREE)
    world.dumb.clear()
    assert run(words) == exitcodes.REFUSED
    assert "its Patroni answers" in capsys.readouterr().err
    assert master.applied == [] and not any(f == "pigsty_dcs.forget" for f, _ in world.calls)


def test_a_cluster_whose_machines_are_all_gone(master: Any, world: World) -> None:
    _edit()
    for host in HOSTS:
        _die(master, world, host)
    assert run(["pgsql", "rm", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert run(["pgsql", "rm", "pg-test", "--dead", "--yes"]) == exitcodes.OK
    assert _states(master) == [((META,), "etcd"), WATCHED]
    assert world.calls[-1] == (
        "pigsty_dcs.forget",
        {"cluster": "pg-test", "members": sorted(HOSTS.values()), "whole": True},
    )


@pytest.fixture
def lead(master: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked of Patroni when the lead is handed over, and how many states ran before it."""
    orders: list[Any] = []

    def look(_to: Any) -> operations.Snapshot:
        members = tuple(
            Member(name, host, 5432, "leader" if host == ONE else "replica", "streaming", 1,
                   0, False, {})
            for host, name in HOSTS.items()
        )  # fmt: skip
        return operations.Snapshot(
            "pg-test", members, frozenset(HOSTS.values()), paused=False, config={}
        )

    def carry_out(_to: Any, _seen: Any, plan: Any, _say: Any, carriers: Any) -> None:
        orders.append((plan.action, plan.leader, plan.members, carriers, len(master.applied)))

    monkeypatch.setattr(access, "of", lambda *_: None)
    monkeypatch.setattr(operating, "look", look)
    monkeypatch.setattr(operating, "carry_out", carry_out)
    return orders


def _without_one() -> None:
    _edit(hosts={TWO: {"pg_seq": 2, "pg_role": "primary"},
                 THREE: {"pg_seq": 3, "pg_role": "replica"}})  # fmt: skip


def test_a_leader_hands_over_before_anything_else_is_done(
    master: Any, world: World, lead: list[Any]
) -> None:
    _without_one()
    words = ["pgsql", "rm", "pg-test", "pg-test-1", "--switchover"]
    assert run([*words, "--test"]) == exitcodes.OK
    assert lead == [], "a preview hands nothing over"
    audit = next(s for s in master.published if s["arguments"] == ["pgsql.remove"])
    assert audit["keywords"]["pillar"]["pigsty_removal"][ONE]["last"] is True, (
        "a leader that will have handed over is no reason to stop the preview"
    )
    master.published.clear()
    assert run([*words, "--yes"]) == exitcodes.OK
    assert lead == [("switchover", "pg-test-1", ("pg-test-2",), (TWO, THREE), 0)]
    removal = next(s for s in master.published if s["arguments"] == ["pgsql.remove"])
    assert removal["keywords"]["pillar"]["pigsty_removal"][ONE]["last"] is False, (
        "who leads again by then isn't stopped"
    )


def test_the_lead_goes_to_one_that_stays(master: Any, world: World, lead: list[Any]) -> None:
    _edit(hosts={THREE: {"pg_seq": 3, "pg_role": "primary"}})
    words = ["pgsql", "rm", "pg-test", "pg-test-1", "pg-test-2", "--switchover", "--yes"]
    assert run(words) == exitcodes.OK
    assert [order[2] for order in lead] == [("pg-test-3",)]


def test_a_lead_that_is_not_handed_over_keeps_everything(
    master: Any, world: World, lead: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise DeadlineExceeded("patroni.leads", 30, "pg-test-2 leads")

    monkeypatch.setattr(operating, "carry_out", fail)
    _without_one()
    words = ["pgsql", "rm", "pg-test", "pg-test-1", "--switchover", "--yes"]
    assert run(words) == exitcodes.FAILED
    assert master.applied == [] and not any(f == "pigsty_dcs.forget" for f, _ in world.calls)


def test_data_that_are_to_be_kept_are_kept(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _two()
    world.records[THREE]["remove_data"] = False
    assert run(["pgsql", "rm", "pg-test", "pg-test-3", "--yes"]) == exitcodes.OK
    removal = next(s for s in master.published if s["arguments"] == ["pgsql.remove"])
    assert removal["keywords"]["pillar"]["pigsty_removal"][THREE]["data"] is False
    err = capsys.readouterr().err
    assert "are kept (pg_rm_data)" in err and "pg-test-3: kept: 2.0 KiB in /data" in err


def test_a_new_member_is_routed_only_when_it_streams(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.live = replace(world.live, members=world.live.members[:2])
    assert run(["pgsql", "add", "pg-test", "-o", "json"]) == exitcodes.OK
    assert _states(master) == [
        ((THREE,), "node,pgsql,node.monitor"),
        ((ONE, TWO), "node.hosts,pgsql.hba,pgsql.pgbouncer,pgsql.patroni"),
        ((ONE, TWO, THREE), "pgsql.service"),
        WATCHED,
    ]
    data = json.loads(capsys.readouterr().out)
    assert data["added"] == ["pg-test-3"]
    done = [step["done"] for step in data["steps"]]
    assert done == ["made", "pg-test-3 streams", "routed", "watched"]


def test_a_new_cluster_has_its_user_in_etcd_first(master: Any, world: World) -> None:
    world.live = dcs.parse("pg-test", "/pg/pg-test/", {})
    assert run(["pgsql", "add", "pg-test"]) == exitcodes.OK
    assert _states(master)[:2] == [
        ((META,), "etcd"),
        ((ONE, TWO, THREE), "node,pgsql,node.monitor"),
    ]


def test_nobody_is_added_twice_and_a_silent_machine_not_at_all(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pgsql", "add", "pg-test"]) == exitcodes.OK
    assert "there is nobody to add" in capsys.readouterr().err
    assert run(["pgsql", "add", "pg-test", "-o", "json"]) == exitcodes.OK
    assert json.loads(capsys.readouterr().out)["added"] == []
    world.live = replace(world.live, members=world.live.members[:2])
    master.accepted.discard(THREE)
    assert run(["pgsql", "add", "pg-test"]) == exitcodes.REFUSED
    assert "has accepted no key" in capsys.readouterr().err
    assert run(["pgsql", "add", "pg-tset"]) == exitcodes.USAGE
    assert master.applied == []


def test_a_copy_that_failed_gets_no_connections(master: Any, world: World) -> None:
    world.live = replace(world.live, members=world.live.members[:2])
    master.states["node,pgsql,node_monitor"] = ["no"]
    assert run(["pgsql", "add", "pg-test"]) == exitcodes.PARTIAL
    assert ((ONE, TWO, THREE), "pgsql.service") not in _states(master)


def test_without_etcd_nobody_knows_who_lives(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(*_: Any) -> None:
        raise CliError("no answer")

    monkeypatch.setattr(remote, "refresh", silent)
    assert run(["pgsql", "rm", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert "no member of etcd can be asked" in capsys.readouterr().err


@dataclass
class Consul:
    """Consul's keys in memory, in the place of its client; who asks with which rights."""

    keys: dict[str, str]
    addresses: list[Any] = field(default_factory=list)
    denied: bool = False

    def __call__(self, address: Any) -> Consul:
        self.addresses.append(address)
        return self

    def prove(self, prefix: str) -> None:
        if self.denied:
            raise ClientError(f"Consul refuses the token to write {prefix}")

    def read(self, prefix: str) -> Snapshot:
        return Snapshot(1, [pair for pair in self.keys.items() if pair[0].startswith(prefix)])

    def delete(self, key: str) -> None:
        for name in list(self.keys):
            if name == key or (key.endswith("/") and name.startswith(key)):
                del self.keys[name]


@pytest.fixture
def consul(world: World, monkeypatch: pytest.MonkeyPatch) -> Consul:
    """The cluster of three, all well, whose keys are in Consul."""
    found = Consul({"/pg/pg-test/initialize": "7", "/pg/pg-test/leader": "pg-test-1"})
    for host, name in HOSTS.items():
        urls = {"conn_url": f"postgres://{host}/", "api_url": f"https://{host}:8008/patroni"}
        found.keys[f"/pg/pg-test/members/{name}"] = json.dumps({**urls, "state": "running"})
    monkeypatch.setattr(keepers, "ConsulStore", found)
    for record in world.records.values():
        record["store"] = "consul"
    _declare_in_consul()
    return found


def _declare_in_consul() -> None:
    file: Path = inventories.PLACES[0]
    document = yaml.safe_load(file.read_text("utf-8"))
    own = {"pg_dcs_type": "consul", "pg_consul_token": "writes"}
    document["all"]["vars"]["pg_consul_watch_token"] = "reads"
    document["all"]["children"]["pg-test"]["vars"] |= own
    file.write_text(yaml.safe_dump(document), "utf-8")


def test_in_consul_a_removed_members_key_goes_by_the_clusters_own_token(
    master: Any, world: World, consul: Consul
) -> None:
    _two()
    before = set(consul.keys)
    assert run(["pgsql", "rm", "pg-test", "pg-test-3", "--test"]) == exitcodes.OK
    assert set(consul.keys) == before
    assert run(["pgsql", "rm", "pg-test", "pg-test-3", "--yes"]) == exitcodes.OK
    assert before - set(consul.keys) == {"/pg/pg-test/members/pg-test-3"}
    assert {address.token for address in consul.addresses} == {"writes"}
    assert world.calls == [], "no member of etcd is asked"


def test_in_consul_a_whole_cluster_goes_with_its_keys_while_it_is_declared(
    master: Any, world: World, consul: Consul, capsys: pytest.CaptureFixture[str]
) -> None:
    consul.keys["/pg/pg-test2/leader"] = "pg-test2-1"
    del consul.keys["/pg/pg-test/leader"]
    world.serving = False
    assert run(["pgsql", "rm", "pg-test", "--yes"]) == exitcodes.OK
    assert consul.keys == {"/pg/pg-test2/leader": "pg-test2-1"}
    assert ((META,), "etcd") not in _states(master), "no user of etcd goes"
    assert "its token out of Consul" in capsys.readouterr().err


def test_one_that_was_in_consul_and_is_out_of_the_inventory_is_refused(
    master: Any, world: World, consul: Consul, capsys: pytest.CaptureFixture[str]
) -> None:
    world.live = living("", members=(), initialized=False)
    _edit()
    assert run(["pgsql", "rm", "pg-test", THREE, "--yes"]) == exitcodes.REFUSED
    assert "put it back there first" in capsys.readouterr().err
    assert master.applied == []


def test_where_there_is_no_etcd_a_forgotten_cluster_is_asked_for_nowhere(
    master: Any, world: World, consul: Consul, capsys: pytest.CaptureFixture[str]
) -> None:
    file: Path = inventories.PLACES[0]
    document = yaml.safe_load(file.read_text("utf-8"))
    del document["all"]["children"]["pg-test"], document["all"]["children"]["etcd"]
    own = {"pg_dcs_type": "consul", "pg_consul_token": "writes"}
    document["all"]["children"]["pg-meta"]["vars"] |= own
    file.write_text(yaml.safe_dump(document), "utf-8")
    assert run(["pgsql", "rm", "pg-test", THREE, "--yes"]) == exitcodes.REFUSED
    assert "one that was made in Consul has to stand in it" in capsys.readouterr().err


def test_a_token_that_may_not_write_is_refused_before_anything_is_touched(
    master: Any, world: World, consul: Consul, capsys: pytest.CaptureFixture[str]
) -> None:
    consul.denied = True
    for words in (["rm", "pg-test", "pg-test-3", "--yes"], ["add", "pg-test"]):
        assert run(["pgsql", *words]) == exitcodes.REFUSED
        assert "refuses the token to write /pg/pg-test/" in capsys.readouterr().err
    assert master.applied == []


def test_in_consul_a_new_cluster_needs_no_user_in_etcd(
    master: Any, world: World, consul: Consul
) -> None:
    consul.keys.clear()
    world.records.clear()
    assert run(["pgsql", "add", "pg-test"]) == exitcodes.OK
    assert ((META,), "etcd") not in _states(master)
    assert _states(master)[0] == ((ONE, TWO, THREE), "node,pgsql,node.monitor")
