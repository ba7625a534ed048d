"""`pigsty node rm`, `etcd add|rm` and `pgsql upgrade`: what runs where, and in which order."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from fake_salt import ALL, META, ONE, THREE, TWO
from world import World, cluster, edit, etcd_of_two, row, version, world

from pigsty_cli import exitcodes, inventories, membership, ssh
from pigsty_cli.main import run

__all__ = ["cluster", "world"]


def _without_three() -> None:
    first, second = {"pg_seq": 1, "pg_role": "primary"}, {"pg_seq": 2, "pg_role": "replica"}
    edit(pg_test={ONE: first, TWO: second})


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
        ({}, [row(THREE, "etcd-9")], True, "pigsty etcd rm etcd-9"),
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
    etcd_of_two()
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
    world.etcd.append(row(ONE, "etcd-2"))
    assert run(["etcd", "rm", "etcd-2", "--yes"]) == exitcodes.OK
    told, last = _states(master)[:-1], _states(master)[-1]
    assert {host for hosts, _ in told for host in hosts} == set(ALL)
    assert last == ((ONE,), "etcd.remove")
    assert ("pigsty_etcd.expel", META, {"member": "id-etcd-2"}) in world.calls


def test_the_last_old_member_stays_until_every_patroni_knows_another(
    master: Any,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(etcd={ONE: {"etcd_seq": 2}})
    world.etcd = [row(META, "etcd-1", leader=True), row(ONE, "etcd-2")]
    world.ages[ONE] = 299.9
    begin = time.monotonic()
    assert run(["etcd", "rm", "etcd-1", "--test"]) == exitcodes.OK
    assert "all that stay are new" in capsys.readouterr().err
    assert time.monotonic() - begin < 5, "a look waits for nobody"
    waits: list[str] = []
    monkeypatch.setattr(membership.progress, "wait", lambda _c, name, _what: waits.append(name))
    assert run(["etcd", "rm", "etcd-1", "--yes"]) == exitcodes.OK
    assert waits == ["etcd.known"]
    assert world.asked.index("pigsty_etcd.age") < world.asked.index("pigsty_etcd.expel")


def test_a_member_that_the_cluster_does_not_let_go_keeps_its_data(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.etcd.append(row(ONE, "etcd-2"))
    world.refused["pigsty_etcd.expel"] = "unhealthy cluster"
    assert run(["etcd", "rm", "etcd-2", "--yes"]) == exitcodes.FAILED
    assert "unhealthy cluster" in capsys.readouterr().err
    assert not any("etcd.remove" in states for _hosts, states in _states(master))


def test_a_removal_that_was_cut_off_after_the_store_let_the_member_go_goes_on(
    master: Any, world: World
) -> None:
    assert run(["etcd", "rm", ONE, "--yes"]) == exitcodes.OK
    assert _states(master)[-1] == ((ONE,), "etcd.remove")
    assert "pigsty_etcd.expel" not in world.asked
    assert run(["etcd", "rm", "10.9.9.9", "--yes"]) == exitcodes.USAGE


def test_a_look_at_a_removal_from_etcd_expels_nobody(master: Any, world: World) -> None:
    world.etcd.append(row(ONE, "etcd-2"))
    assert run(["etcd", "rm", "etcd-2", "--test"]) == exitcodes.OK
    assert "pigsty_etcd.expel" not in world.asked
    assert all(s["keywords"]["test"] for s in master.published if s["function"] == "state.apply")


def test_the_list_shows_who_is_declared_and_who_belongs_to_it(
    master: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.etcd.append(row(ONE, "etcd-7"))
    world.sick = {ONE}
    assert run(["etcd", "list", "-i", str(inventories.PLACES[0]), "-o", "json"]) == exitcodes.OK
    first, second = json.loads(capsys.readouterr().out)
    assert (first["member"], first["role"], first["health"]) == ("etcd-1", "leader", "ok")
    assert (second["member"], second["declared"]) == ("etcd-7", False)
    assert second["health"] == "unreachable"


def test_an_upgrade_goes_from_replica_to_replica_and_the_old_leader_comes_last(
    world: World, cluster: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.versions = dict.fromkeys((ONE, TWO, THREE), version("postgresql-17"))
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
    world.versions = dict.fromkeys((ONE, TWO, THREE), version("postgresql-17"))
    assert run(["pgsql", "upgrade", "pg-test", "--test"]) == exitcodes.OK
    assert cluster == []


def test_an_upgrade_of_whom_one_is_silent_is_refused(
    world: World, cluster: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.versions = dict.fromkeys((ONE, TWO), version("postgresql-17"))
    assert run(["pgsql", "upgrade", "pg-test", "--yes"]) == exitcodes.REFUSED
    assert "pg-test-3: no answer" in capsys.readouterr().err and cluster == []


def test_a_cluster_that_runs_the_newest_release_is_left_alone(
    world: World, cluster: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.versions = dict.fromkeys((ONE, TWO, THREE), version())
    assert run(["pgsql", "upgrade", "pg-test", "--yes"]) == exitcodes.OK
    assert "all members of pg-test run 17.5" in capsys.readouterr().err and cluster == []
