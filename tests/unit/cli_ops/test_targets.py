"""What a person names becomes hosts, and hosts become jobs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pigsty import targets, topology
from pigsty.targets import Job, TargetError

ROOT = Path(__file__).resolve().parents[3]
META, ONE, TWO, THREE = (f"10.10.10.{n}" for n in (10, 11, 12, 13))


@pytest.fixture(scope="module")
def sandbox() -> topology.Topology:
    return topology.load(ROOT / "pillar/inventory/sandbox.yml")


@pytest.mark.parametrize(
    ("words", "hosts"),
    [
        ((), (META, ONE, TWO, THREE)),
        (("*",), (META, ONE, TWO, THREE)),
        ((TWO,), (TWO,)),
        (("pg-test",), (ONE, TWO, THREE)),
        (("pg-test-3",), (THREE,)),
        (("etcd",), (META,)),
        (("etcd-1",), (META,)),
        (("infra-1",), (META,)),
        (("pg-test-3", "pg-meta", "pg-test-3"), (META, THREE)),
        (("pg-test-*",), (ONE, TWO, THREE)),
        (("10.10.10.1[12]",), (ONE, TWO)),
        (("*", "no-such-thing"), (META, ONE, TWO, THREE)),
    ],
)
def test_a_word_means_hosts_in_the_order_of_the_inventory(
    sandbox: topology.Topology, words: tuple[str, ...], hosts: tuple[str, ...]
) -> None:
    assert targets.resolve(sandbox, words) == hosts


def test_every_unknown_word_is_named_with_what_is_near(sandbox: topology.Topology) -> None:
    with pytest.raises(TargetError) as caught:
        targets.resolve(sandbox, ["pg-tset", "pg-meta", "10.10.10.99"])
    text = str(caught.value)
    assert "'pg-tset'" in text and "pg-test" in text
    assert "'10.10.10.99'" in text
    assert "'pg-meta'" not in text
    assert caught.value.exit_code == 2


def test_a_pattern_that_matches_nothing_is_an_error_and_not_everything(
    sandbox: topology.Topology,
) -> None:
    with pytest.raises(TargetError):
        targets.resolve(sandbox, ["mysql-*"])


def test_few_names_are_listed_when_none_is_near() -> None:
    assert "there are: node, etcd" in targets.nearest("zzz", ["node", "etcd"], "module")
    many = [f"cluster-{n}" for n in range(50)]
    assert "cluster-7" not in targets.nearest("zzz", many, "cluster")


def test_modules_are_taken_in_any_case_apart_by_commas_and_come_in_order() -> None:
    assert targets.modules(["PGSQL", "etcd,node"]) == ("node", "etcd", "pgsql")
    assert targets.modules([]) == ()


def test_a_module_that_is_not_built_is_refused_with_those_that_are() -> None:
    with pytest.raises(TargetError, match=r"unknown module .redis..*pgsql"):
        targets.modules(["redis"])


def test_without_modules_one_job_runs_everything(sandbox: topology.Topology) -> None:
    assert targets.jobs(sandbox, (META, ONE), ()) == (Job((META, ONE), ()),)
    assert targets.jobs(sandbox, (), ()) == ()


def test_hosts_with_the_same_states_share_a_job(sandbox: topology.Topology) -> None:
    found = targets.jobs(sandbox, (META, ONE, TWO), ("node", "etcd"))
    both = ("node", "node.monitor")
    assert found == (Job((META,), ("node", "etcd", "node.monitor")), Job((ONE, TWO), both))


def test_a_host_without_the_module_is_in_no_job(sandbox: topology.Topology) -> None:
    assert targets.jobs(sandbox, (META, ONE), ("etcd",)) == (Job((META,), ("etcd",)),)
    assert targets.touched(sandbox.nodes[ONE], ("etcd",)) == ()


def test_the_repository_comes_before_everything_else(sandbox: topology.Topology) -> None:
    states = targets.states(sandbox.nodes[META], ("infra", "node", "pgsql"))
    assert states == ("infra.repo", "node", "infra", "pgsql", "node.monitor")


def test_what_is_touched_are_the_modules_that_are_built(sandbox: topology.Topology) -> None:
    assert targets.touched(sandbox.nodes[META], ()) == ("node", "infra", "etcd", "pgsql")
    assert targets.touched(sandbox.nodes[ONE], ()) == ("node", "pgsql")


def test_the_order_is_that_of_a_highstate() -> None:
    top = (ROOT / "states/top.sls").read_text(encoding="utf-8")
    pairs = re.findall(r'^    \("(\w+)", "([\w.]+)"\),$', top, re.MULTILINE)
    assert tuple(sls for _, sls in pairs) == targets.ORDER
    assert {(m, sls) for m, all_ in targets.STATES.items() for sls in all_} == set(pairs)
