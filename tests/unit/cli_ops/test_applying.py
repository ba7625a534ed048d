"""A run: who is there, what they lack, and which jobs go out in which order."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from fake_salt import ALL, BAD, META, ONE, SYNCED, THREE, TWO, Master

from pigsty import topology
from pigsty.deadlines import DEADLINES
from pigsty.returns import HostResult
from pigsty_cli import applying
from pigsty_cli.applying import Plan, Presence

ROOT = Path(__file__).resolve().parents[3]


class Screen(nullcontext):  # type: ignore[type-arg]
    def __enter__(self) -> Screen:
        return self

    def step(self, step: Any) -> None: ...

    def done(self, result: HostResult) -> None: ...

    def tick(self) -> None: ...


@pytest.fixture(scope="module")
def sandbox() -> topology.Topology:
    return topology.load(ROOT / "pillar/inventory/sandbox.yml")


def plan(
    sandbox: topology.Topology, *modules: str, test: bool = False, hosts: tuple[str, ...] = ALL
) -> Plan:
    return Plan(sandbox, hosts, modules, test)


def run(
    master: Master, what: Plan, found: Presence | None = None, *, built: bool = True
) -> dict[str, HostResult]:
    said: list[str] = []
    engine = applying.Run(master, what, lambda hosts: Screen(), said.append)
    found = found or Presence(up=what.hosts)
    return {result.host: result for result in engine.run(found, built=built)}


# -- who is there -------------------------------------------------------------------------------


def test_all_are_there() -> None:
    found = applying.presence(Master(), ALL, META)
    assert found == Presence(up=ALL)


def test_one_question_tells_everything_and_touches_nothing() -> None:
    master = Master()
    applying.presence(master, ALL, META)
    functions = [sent["function"] for sent in master.published]
    assert functions == [("saltutil.is_running", "pigsty_extmods.fingerprint")]


def test_who_has_no_connection_is_not_waited_for() -> None:
    master = Master()
    master.links.remove(TWO)
    del master.answers[TWO]
    found = applying.presence(master, ALL, META)
    assert found.missing == {TWO: "its minion isn't connected"}
    assert master.limits[TWO] == DEADLINES["apply.stranger"]
    assert master.limits[ONE] == DEADLINES["apply.presence"]


def test_the_admin_nodes_own_minion_counts_as_connected_from_whatever_address() -> None:
    master = Master()
    applying.presence(master, ALL, META)
    assert META not in master.connected()
    assert master.limits[META] == DEADLINES["apply.presence"]


def test_a_connected_minion_that_does_not_answer_is_told_apart() -> None:
    master = Master()
    del master.answers[ONE]
    assert "didn't answer" in applying.presence(master, ALL, META).missing[ONE]


def test_a_host_without_an_accepted_key_is_named_so() -> None:
    master = Master()
    master.accepted.remove(ONE)
    found = applying.presence(master, ALL, META)
    assert "key" in found.missing[ONE]
    assert found.up == (META, TWO, THREE)


def test_a_minion_that_answers_without_a_connection_of_its_own_is_up() -> None:
    """It stands behind an address translation."""
    master = Master()
    master.links.remove(TWO)
    assert applying.presence(master, ALL, META).up == ALL


def test_who_runs_states_already_is_named_with_the_job() -> None:
    master = Master()
    running = [{"fun": "state.apply", "jid": "42", "pid": 1}]
    master.answers[ONE] = {**SYNCED, "saltutil.is_running": running}
    assert applying.presence(master, ALL, META).busy == {ONE: "state.apply (job 42)"}


@pytest.mark.parametrize("modules", ["'pigsty_extmods.fingerprint' is not available.", "0f", None])
def test_who_has_other_modules_than_the_master_is_stale(modules: Any) -> None:
    master = Master()
    master.answers[ONE] = {**SYNCED, "pigsty_extmods.fingerprint": modules}
    assert applying.presence(master, ALL, META).stale == (ONE,)


# -- what runs ----------------------------------------------------------------------------------


def test_everything_is_one_highstate_with_progress(sandbox: topology.Topology) -> None:
    master = Master()
    found = run(master, plan(sandbox))
    assert master.applied == [(ALL, [])]
    assert master.published[-1]["executor"] == "pigsty_progress"
    assert master.published[-1]["keywords"] == {}
    assert {result.status for result in found.values()} == {"ok"}


def test_an_audit_asks_for_test_and_for_nothing_else(sandbox: topology.Topology) -> None:
    master = Master()
    run(master, plan(sandbox, test=True), built=False)
    assert master.applied == [(ALL, [])]
    assert master.published[-1]["keywords"] == {"test": True}


def test_before_there_is_a_repository_the_admin_node_builds_it(sandbox: topology.Topology) -> None:
    master = Master()
    found = run(master, plan(sandbox), built=False)
    assert master.applied == [((META,), ["infra.repo"]), (ALL, [])]
    assert found[META].ok == 2
    assert found[ONE].ok == 1


def test_when_the_repository_fails_nothing_else_is_begun(sandbox: topology.Topology) -> None:
    master = Master(infra_repo=BAD)
    found = run(master, plan(sandbox), built=False)
    assert master.applied == [((META,), ["infra.repo"])]
    assert {result.status for result in found.values()} == {"failed"}
    assert "not begun" in found[ONE].error
    assert "compile" in found[META].error


def test_only_hosts_with_other_modules_are_synced_and_before_the_run(
    sandbox: topology.Topology,
) -> None:
    master = Master()
    run(master, plan(sandbox, "pgsql"), Presence(up=ALL, stale=(TWO,)))
    functions = [(sent["function"], sent["hosts"]) for sent in master.published]
    assert functions == [
        (("saltutil.sync_all", "saltutil.refresh_modules"), (TWO,)),
        ("state.apply", ALL),
    ]


def test_a_run_does_not_sync_what_was_compared(sandbox: topology.Topology) -> None:
    master = Master()
    run(master, plan(sandbox))
    assert [sent["function"] for sent in master.published] == ["state.apply"]
    assert master.published[0]["options"] == {"synced": True}


def test_a_host_that_takes_no_modules_is_lost_and_the_others_go_on(
    sandbox: topology.Topology,
) -> None:
    master = Master()
    master.synced.remove(TWO)
    found = run(master, plan(sandbox), Presence(up=ALL, stale=(TWO,)))
    assert found[TWO].status == "lost"
    assert master.applied == [((META, ONE, THREE), [])]


def test_each_set_of_states_is_a_job_of_its_own(sandbox: topology.Topology) -> None:
    master = Master(**{"node,node_monitor": BAD})
    found = run(master, plan(sandbox, "node", "etcd"))
    assert master.applied == [
        ((META,), ["node,etcd,node.monitor"]),
        ((ONE, TWO, THREE), ["node,node.monitor"]),
    ]
    assert (found[META].status, found[ONE].status) == ("ok", "failed")


def test_missing_hosts_have_a_result_too_in_the_order_of_the_inventory(
    sandbox: topology.Topology,
) -> None:
    present = Presence(up=(META, THREE), missing={ONE: "gone", TWO: "gone"})
    found = run(Master(), plan(sandbox), present)
    assert list(found) == list(ALL)
    assert (found[ONE].status, found[ONE].error) == ("unreachable", "gone")


def test_the_jobs_are_known_for_ctrl_c(sandbox: topology.Topology) -> None:
    master = Master()
    engine = applying.Run(master, plan(sandbox), lambda hosts: Screen(), lambda text: None)
    engine.run(Presence(up=ALL), built=True)
    assert engine.jids == dict.fromkeys(ALL, "0")


def test_the_flag_of_the_repository(sandbox: topology.Topology) -> None:
    assert applying.repository_flag(sandbox) == Path("/www/pigsty/Release")


def test_no_infra_no_repository(tmp_path: Path) -> None:
    file = tmp_path / "slim.yml"
    file.write_text(
        "all: {vars: {admin_ip: 10.9.9.1}, children: {etcd: {hosts: {10.9.9.1: {etcd_seq: 1}}}}}"
    )
    assert applying.repository_flag(topology.load(file)) is None
