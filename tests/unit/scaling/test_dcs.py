"""What etcd's keys say of a cluster."""

from __future__ import annotations

import json

from pigsty import dcs

KEYS = {
    "initialize": "7480000000000000000",
    "leader": "pg-test-2",
    "config": json.dumps({"ttl": 30, "pause": True, "synchronous_mode": "quorum"}),
    "sync": json.dumps({"leader": "pg-test-2", "sync_standby": "pg-test-1,pg-test-3"}),
    "members/pg-test-2": json.dumps(
        {
            "conn_url": "postgres://10.1.1.12:5432/postgres",
            "api_url": "https://10.1.1.12:8008/patroni",
            "state": "running",
            "role": "primary",
        }
    ),
    "members/pg-test-1": json.dumps(
        {
            "conn_url": "postgres://10.1.1.11:5432/postgres",
            "api_url": "http://10.1.1.11:8009/patroni",
            "state": "running",
            "role": "replica",
            "tags": {"nofailover": True, "nosync": True, "replicatefrom": "pg-test-2"},
        }
    ),
    "status": "{}",
}


def test_a_cluster_with_all_that_matters():
    found = dcs.parse("pg-test", "/pg/pg-test/", KEYS)
    assert (found.leader, found.paused, found.synchronous) == ("pg-test-2", True, True)
    assert found.standbys == ("pg-test-1", "pg-test-3")
    assert found.slots_ttl == dcs.SLOTS_TTL
    one, two = found.members
    assert (one.name, one.host, one.api_port, one.api_tls) == (
        "pg-test-1",
        "10.1.1.11",
        8009,
        False,
    )
    assert (one.nofailover, one.nosync, one.upstream) == (True, True, "pg-test-2")
    assert (two.api_tls, two.nofailover, two.upstream) == (True, False, "")
    assert found.member("pg-test-2") is two and found.member("pg-test-9") is None


def test_no_keys_is_no_cluster():
    found = dcs.parse("pg-old", "/pg/pg-old/", {})
    assert not found.exists
    assert not found.paused and not found.synchronous and found.members == ()


def test_a_key_that_is_no_json_is_no_reason_to_fail():
    found = dcs.parse("pg-test", "/pg/pg-test/", {"config": "{", "members/pg-test-1": "x"})
    assert found.exists and found.members[0].host == ""


def test_a_cluster_travels_as_plain_data():
    found = dcs.parse("pg-test", "/pg/pg-test/", KEYS)
    assert dcs.Cluster.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_synchronous_mode_may_be_off_in_several_words():
    for value in (None, False, "off", "false"):
        config = json.dumps({"synchronous_mode": value, "member_slots_ttl": 60})
        found = dcs.parse("pg-test", "/pg/pg-test/", {"config": config})
        assert not found.synchronous and found.slots_ttl == 60
