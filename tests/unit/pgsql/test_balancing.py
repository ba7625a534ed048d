"""Members taken out of the balancing: what HAProxy says of them, and what it is told."""

from __future__ import annotations

import pytest

from pigsty import balancing
from pigsty.render import services

HEAD = "# pxname,svname,scur,status,weight,check_status,check_code,\n"
STATES = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight
3 pg-test-replica 1 pg-test-1 10.1.1.11 0 0 100 100 5 17
3 pg-test-replica 2 pg-test-2 10.1.1.12 2 8 70 100 5 15
3 pg-test-replica 3 pg-test-3 10.1.1.13 0 1 100 100 5 15
3 pg-test-replica 4 pg-test-4 10.1.1.14 0 8 100 100 5 15
"""


@pytest.fixture
def known(deployment):
    return balancing.parts(services.services(deployment().pg_clusters["pg-test"]))


def rows(known, **changed):
    """Every server of every part is up and ready, but for what is said by ``<member>``."""
    found = []
    for part in known.values():
        for number in "1234":
            row = {"up": True, "state": "ready", "weight": 100, "sessions": 0, "check": "L7OK 200"}
            row |= changed.get(f"m{number}", {})
            found.append({"part": part.name, "member": f"pg-test-{number}", **row})
    return found


def test_parts_know_their_service_and_whether_they_are_the_leaders(known):
    assert {name: (part.port, part.backup, part.leads) for name, part in known.items()} == {
        "pg-test-primary": (5433, False, True),
        "pg-test-replica": (5434, False, False),
        "pg-test-replica.backup": (5434, True, False),
        "pg-test-default": (5436, False, True),
        "pg-test-offline": (5438, False, False),
        "pg-test-offline.backup": (5438, True, False),
    }


def test_a_part_that_is_narrowed_to_leaders_is_theirs(deployment):
    own = {"name": "own", "port": 5500, "check": "/read-only"}
    own["selector"] = "[? pg_role == 'primary' ]"
    found = services.services(deployment(pg_services=[own]).pg_clusters["pg-test"])
    assert balancing.parts(found)["pg-test-own"].leads


def test_what_haproxy_says():
    stat = HEAD + "".join(
        f"pg-test-replica,pg-test-{row}\n"
        for row in (
            "1,0,DOWN,100,L7STS,503,",
            "2,7,DRAIN,0,L7OK,200,",
            "3,0,MAINT,100,,,",
            "4,0,DOWN,0,L4CON,,",
        )
    )
    stat += "pg-test-replica.check1,unknown,0,UP,1,,,\n"
    found = balancing.parse(stat, STATES)
    assert [
        tuple(row[k] for k in ("up", "state", "weight", "sessions", "check")) for row in found
    ] == [
        (False, "ready", 100, 0, "L7STS 503"),
        (True, "drain", 70, 7, "L7OK 200"),
        (False, "maint", 100, 0, ""),
        # It is down, which hides in HAProxy's table that somebody has drained it.
        (False, "drain", 100, 0, "L4CON"),
    ]


def test_the_leaders_services_are_left_alone(known):
    found = balancing.servers("h", rows(known), known)
    changes = balancing.due(found, "pg-test-2", "drain", known)
    assert {part for _, part, _ in changes} == {
        "pg-test-replica",
        "pg-test-replica.backup",
        "pg-test-offline",
        "pg-test-offline.backup",
    }
    assert set(changes) >= {("h", "pg-test-replica", "ready")}


def test_ready_concerns_every_part_and_only_what_differs(known):
    found = balancing.servers("h", rows(known, m2={"state": "maint"}), known)
    assert len(balancing.due(found, "pg-test-2", "ready", known)) == len(known)
    assert balancing.due(found, "pg-test-3", "ready", known) == []
    assert balancing.due(found, "pg-test-2", "maint", known) == []


def test_a_service_that_would_have_nobody_left_is_named(known):
    down = {"up": False}
    alone = balancing.servers("h", rows(known, m1=down, m3=down, m4=down), known)
    expected = ["pg-test-offline on h", "pg-test-replica on h"]
    assert balancing.starved(alone, "pg-test-2", known) == expected
    drained = rows(known, m1=down, m3={"state": "drain"}, m4={"weight": 0})
    found = balancing.servers("h", drained, known)
    assert balancing.starved(found, "pg-test-2", known) == expected
    # Who serves nobody can go.
    assert balancing.starved(found, "pg-test-3", known) == []
    assert balancing.starved(balancing.servers("h", rows(known), known), "pg-test-2", known) == []


def test_the_table_has_what_differs_between_the_haproxies(known):
    one = balancing.servers("h1", rows(known, m2={"sessions": 3}), known)
    two = balancing.servers("h2", rows(known, m2={"sessions": 4, "state": "drain"}), known)
    [row] = [
        row
        for row in balancing.merged([*one, *two])
        if row["service"] == "pg-test-replica" and row["member"] == "pg-test-2" and not row["role"]
    ]
    assert row["state"] == "drain on h2; ready on h1"
    assert (row["status"], row["sessions"], row["port"]) == ("up", 7, 5434)
