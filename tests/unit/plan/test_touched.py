"""What an edit of the inventory touches, as its event tells it: hosts, clusters and modules."""

from __future__ import annotations

from typing import Any

import pytest
from editions import ADMIN, ALL, FIRST, SECOND, THIRD, Edit, cluster, edited

from pigsty import events, touched
from pigsty.events import MANY_NAMES
from pigsty.touched import Touched

PEERS = (FIRST, SECOND, THIRD)


def between(*edits: Edit) -> Touched:
    return touched.between(edited().topology, edited(*edits).topology)


def in_all(**variables: Any) -> Edit:
    return lambda data: data["all"]["vars"].update(variables)


def in_cluster(**variables: Any) -> Edit:
    return lambda data: cluster(data)["vars"].update(variables)


def of_host(host: str, **variables: Any) -> Edit:
    return lambda data: cluster(data)["hosts"][host].update(variables)


NODES = {"nodes": {"hosts": {f"10.9.9.{n}": {"nodename": f"n{n}"} for n in range(1, 40)}}}


@pytest.mark.parametrize(
    ("edit", "hosts", "clusters", "modules"),
    [
        (lambda data: data, (), (), ()),
        (in_cluster(pg_hba_rules=[]), PEERS, ("pg-test",), ("pgsql",)),
        (of_host(SECOND, pg_weight=7), (SECOND,), ("pg-test",), ("pgsql",)),
        (of_host(SECOND, node_tune="olap"), (SECOND,), (), ("node",)),
        (lambda d: cluster(d)["hosts"].pop(THIRD), PEERS, ("pg-test",), ("node", "pgsql")),
        (in_all(node_timezone="Asia/Tokyo"), ALL, (), ("node",)),
        (in_all(etcd_election_timeout=5000), (ADMIN,), ("etcd",), ("etcd",)),
        (
            in_all(own_variable=1),
            ALL,
            ("etcd", "pg-meta", "pg-test"),
            ("etcd", "infra", "node", "pgsql"),
        ),
    ],
)
def test_just_what_differs_is_named(
    edit: Edit, hosts: tuple[str, ...], clusters: tuple[str, ...], modules: tuple[str, ...]
) -> None:
    assert between(edit) == Touched(hosts, clusters, modules)


def test_many_hosts_are_counted_and_the_first_are_named() -> None:
    found = between(lambda data: data["all"]["children"].update(NODES))
    told = found.to_dict()
    assert (told["count"], len(told["hosts"])) == (39, MANY_NAMES)
    assert told["modules"] == ["node"]


def test_the_event_is_read_as_it_was_told() -> None:
    told = {"checksum": "ab", **between(in_cluster(pg_hba_rules=[])).to_dict()}
    event = events.trim(events.tag("inventory.changed"), told)
    hint, refused = events.read(event["tag"], event["data"])
    assert (hint.data, refused) == (told, "")


def test_a_forged_one_is_short_and_printable() -> None:
    names = ["x" * 9999, "\x1b[2J", 7, ["y"], {"a": 1}, *["z"] * 500]
    event = events.trim(events.tag("inventory.changed"), {"id": "m", "data": {"hosts": names}})
    hint, refused = events.read(event["tag"], event["data"])
    assert refused == "" and len(hint.data["hosts"]) <= MANY_NAMES
    assert all(len(n) <= events.TEXT_LENGTH and n.isprintable() for n in hint.data["hosts"])
    bad = events.trim(events.tag("inventory.changed"), {"hosts": "all"})
    assert events.read(bad["tag"], bad["data"])[1] == "its hosts is no list"
