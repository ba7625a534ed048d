"""Whether a machine may leave, and what is undone then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pigsty import dcs, departure, topology
from pigsty.departure import DepartureRefused, World
from pigsty.topology import Topology

SANDBOX = Path(__file__).resolve().parents[3] / "pillar/inventory/sandbox.yml"
GONE = World("10.10.10.14", accepted=True, answers=True)


@pytest.fixture(scope="module")
def declared() -> Topology:
    return topology.load(SANDBOX)


def test_a_machine_out_of_the_inventory_is_cleaned_and_forgotten(declared: Topology) -> None:
    found = departure.departure(declared, GONE)
    assert (found.clean, found.key) == (True, True)
    assert len(found.sentences) == 4 and "packages, logs and users stay" in found.sentences[0]


def test_a_dead_one_is_only_forgotten(declared: Topology) -> None:
    dead = replace(GONE, answers=False, missing="its minion isn't connected")
    found = departure.departure(declared, dead, dead=True)
    assert (found.clean, found.key) == (False, True)
    with pytest.raises(DepartureRefused, match="--dead takes out"):
        departure.departure(declared, dead)


def test_one_that_was_forgotten_already_is_no_error(declared: Topology) -> None:
    found = departure.departure(declared, replace(GONE, accepted=False, answers=False))
    assert (found.clean, found.key) == (False, False)


@pytest.mark.parametrize(
    ("world", "dead", "text"),
    [
        (replace(GONE, host="10.10.10.13"), False, "stands in the inventory"),
        (
            replace(GONE, postgres=(("pg-test", "pg-test-4"),)),
            False,
            "`pigsty pgsql rm pg-test pg-test-4`",
        ),
        (
            replace(GONE, postgres=(("pg-test", "pg-test-4"),), answers=False),
            True,
            "`pigsty pgsql rm pg-test pg-test-4 --dead`",
        ),
        (replace(GONE, etcd="etcd-2"), False, "`pigsty etcd rm etcd-2`"),
        (GONE, True, "it is not dead"),
    ],
)
def test_what_would_harm_is_refused_with_what_comes_first(
    declared: Topology, world: World, dead: bool, text: str
) -> None:
    with pytest.raises(DepartureRefused, match=text):
        departure.departure(declared, world, dead=dead)


def test_our_daemons_stop_and_the_clock_goes_on() -> None:
    drop_ins = ["haproxy.service.d", "chrony.service.d", "keepalived.service.d"]
    assert departure.units(drop_ins) == ["haproxy.service", "keepalived.service"]
    paths = {file.path: file.contents for file in departure.files(drop_ins)}
    assert paths["/etc/systemd/system/haproxy.service.d/pigsty.conf"] is None
    assert paths["/etc/apt/sources.list.d/pigsty.sources"] is None
    assert not any("chrony" in path for path in paths)


def test_the_store_says_who_lives_where() -> None:
    pairs = [
        ("/pg/pg-test/leader", "pg-test-1"),
        ("/pg/pg-test/members/pg-test-1", '{"conn_url": "postgres://10.1.1.1:5432/postgres"}'),
        ("/pg/pg-test/members/pg-test-2", '{"api_url": "https://10.1.1.2:8008/patroni"}'),
        ("/pg/pg-citus/1/members/pg-citus1-1", '{"conn_url": "postgres://10.1.1.1:5433/x"}'),
        ("/pg/pg-odd/members/pg-odd-1", "no json"),
    ]
    assert dcs.residents(pairs) == {
        "10.1.1.1": [("pg-test", "pg-test-1"), ("pg-citus/1", "pg-citus1-1")],
        "10.1.1.2": [("pg-test", "pg-test-2")],
        "": [("pg-odd", "pg-odd-1")],
    }
