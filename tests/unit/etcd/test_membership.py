"""Members of etcd come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pigsty import membership, topology
from pigsty.membership import Living, MembershipRefused
from pigsty.render import etcd as render
from pigsty.targets import TargetError
from pigsty.topology import Topology

ONE, TWO, THREE, FOUR = (f"10.1.1.{number}" for number in (1, 2, 3, 4))


def _declared(tmp_path: Path, *hosts: str) -> Topology:
    file = tmp_path / "pigsty.yml"
    members = ", ".join(f"{host}: {{etcd_seq: {host[-1]}}}" for host in hosts)
    file.write_text(
        f"all: {{children: {{etcd: {{vars: {{etcd_cluster: etcd}}, hosts: {{{members}}}}}}}}}\n"
    )
    return topology.load(file)


def _living(*hosts: str, leader: str = ONE) -> tuple[Living, ...]:
    return membership.living(
        {
            "id": f"id{host[-1]}",
            "name": f"etcd-{host[-1]}",
            "peers": [f"https://{host}:2380"],
            "learner": False,
            "leader": host == leader,
        }
        for host in hosts
    )


def test_what_the_cluster_says_of_its_members_is_read() -> None:
    (found,) = _living(ONE)
    assert found == Living("id1", "etcd-1", ONE, learner=False, leader=True)


def test_those_of_the_inventory_that_do_not_belong_to_it_are_added(tmp_path: Path) -> None:
    declared = _declared(tmp_path, ONE, TWO, THREE)
    members = _living(ONE)
    assert [m.ip for m in membership.addition(declared, members, {ONE}, ())] == [TWO, THREE]
    assert [m.ip for m in membership.addition(declared, members, {ONE}, ["etcd-3"])] == [THREE]
    assert membership.addition(declared, _living(ONE, TWO, THREE), {ONE}, ()) == ()
    with pytest.raises(TargetError, match="etcd-9"):
        membership.addition(declared, members, {ONE}, ["etcd-9"])


@pytest.mark.parametrize(
    ("members", "healthy", "fits"),
    [
        ((ONE,), {ONE}, True),
        ((ONE,), set(), False),
        ((ONE, TWO), {ONE, TWO}, True),
        # Three with one that is down have a majority; four with two that are down have none.
        ((ONE, TWO, THREE), {ONE, TWO}, False),
        ((ONE, TWO, THREE), {ONE, TWO, THREE}, True),
    ],
)
def test_nobody_is_added_where_that_would_cost_the_majority(
    tmp_path: Path, members: tuple[str, ...], healthy: set[str], fits: bool
) -> None:
    declared = _declared(tmp_path, *members, FOUR)
    if fits:
        assert membership.addition(declared, _living(*members), healthy, ())
    else:
        with pytest.raises(MembershipRefused, match="no majority"):
            membership.addition(declared, _living(*members), healthy, ())


def test_a_member_that_left_the_inventory_leaves_the_cluster(tmp_path: Path) -> None:
    declared = _declared(tmp_path, ONE, TWO)
    for word in ("etcd-3", THREE, "id3"):
        found = membership.removal(declared, _living(ONE, TWO, THREE), {ONE, TWO, THREE}, word)
        assert found.member.host == THREE
        assert found.staying == (ONE, TWO)
    assert found.sentences[-1] == f"{THREE}: etcd is stopped, its data and files are deleted"
    dead = membership.removal(
        declared, _living(ONE, TWO, THREE, leader=THREE), {ONE, TWO}, THREE, dead=True
    )
    assert not any("deleted" in sentence for sentence in dead.sentences)
    assert any("hands over the lead" in sentence for sentence in dead.sentences)


@pytest.mark.parametrize(
    ("members", "healthy", "word", "dead", "text"),
    [
        ((ONE, TWO), {ONE, TWO}, "etcd-2", False, "stands in the group of etcd"),
        ((THREE,), {THREE}, "etcd-3", False, "the last one"),
        # Of the two that stay one is down.
        ((ONE, TWO, THREE), {ONE, THREE}, "etcd-3", False, "only 1 are healthy"),
        ((ONE, TWO, THREE), {ONE, TWO, THREE}, "etcd-3", True, "not dead"),
    ],
)
def test_what_would_cost_the_store_is_refused(
    tmp_path: Path, members: tuple[str, ...], healthy: set[str], word: str, dead: bool, text: str
) -> None:
    declared = _declared(tmp_path, ONE, TWO)
    with pytest.raises(MembershipRefused, match=text):
        membership.removal(declared, _living(*members), healthy, word, dead=dead)


@pytest.mark.parametrize(
    ("ages", "left"), [((10.0, 400.0), 0.0), ((10.0, 100.0), 200.0), ((300.0,), 0.0), ((), 300.0)]
)
def test_one_that_stays_must_have_been_there_long_enough_for_every_patroni_to_know(
    ages: tuple[float, ...], left: float
) -> None:
    assert membership.unknown(ages) == left


def test_an_unknown_member_is_a_mistake_of_the_person(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="etcd-7"):
        membership.removal(_declared(tmp_path, ONE), _living(ONE, TWO), {ONE}, "etcd-7")


def test_a_member_that_goes_is_found_by_its_own_configuration() -> None:
    etcd = {
        "name": "etcd-1", "data": "/data/my etcd", "ip": ONE, "port": 2379, "peer_port": 2380,
        "cluster": "etcd", "heartbeat": 100, "election": 1000,
    }  # fmt: skip
    data, files = render.remains(render.config(etcd, {}))
    assert data == "/data/my etcd"
    assert files[-1].path == render.CONF and {file.contents for file in files} == {None}
    assert render.remains(None)[0] == ""
