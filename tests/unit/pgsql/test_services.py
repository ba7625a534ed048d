"""HAProxy services: who stands behind each port, and who only if nobody else does."""

from __future__ import annotations

import pytest

from pigsty.errors import PillarError
from pigsty.render import services


@pytest.fixture
def cluster(deployment):
    def build(host=None, **changes):
        return deployment(host, **changes).pg_clusters["pg-test"]

    return build


def behind(found, name):
    """Return {member: is it a backup} of a service."""
    [service] = [service for service in found if service.name == name]
    return {server.name[-1]: server.backup for server in service.servers}


def test_the_four_services(cluster):
    found = services.services(cluster())
    assert [(s.name, s.port, s.target, s.check) for s in found] == [
        ("pg-test-primary", 5433, 6432, "/primary"),
        ("pg-test-replica", 5434, 6432, "/read-only"),
        ("pg-test-default", 5436, 5432, "/primary"),
        ("pg-test-offline", 5438, 5432, "/replica"),
    ]


def test_members_and_backups_by_declared_role(cluster):
    found = services.services(cluster())
    everyone = dict.fromkeys("1234", False)
    assert behind(found, "pg-test-primary") == everyone
    assert behind(found, "pg-test-default") == everyone
    assert behind(found, "pg-test-replica") == {"1": True, "2": False, "3": False, "4": True}
    assert behind(found, "pg-test-offline") == {"2": True, "3": False, "4": False}


def test_backups_follow_the_live_roles_where_they_are_known(cluster):
    live = {"pg-test-1": "replica", "pg-test-2": "primary", "pg-test-4": "replica"}
    found = services.services(cluster(), live)
    assert behind(found, "pg-test-replica") == {"1": False, "2": True, "3": False, "4": True}
    # The old primary may now help out with offline queries, the new one no longer.
    assert behind(found, "pg-test-offline") == {"1": True, "3": False, "4": False}


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({}, 6432),
        ({"pg_default_service_dest": "postgres"}, 5432),
        ({"pgbouncer_enabled": False}, 5432),
        ({"pgbouncer_port": 7432}, 7432),
    ],
)
def test_where_the_default_leads(cluster, changes, target):
    assert services.services(cluster(**changes))[0].target == target


@pytest.mark.parametrize(
    ("dest", "target"), [("postgres", 5432), ("pgbouncer", 6432), (9999, 9999), ("9999", 9999)]
)
def test_where_a_service_of_ones_own_leads(cluster, dest, target):
    own = {"name": "own", "port": 5500, "dest": dest, "selector": "[]"}
    assert services.services(cluster(pg_services=[own]))[-1].target == target


def test_a_service_of_ones_own(cluster):
    own = {
        "name": "standby",
        "port": 5435,
        "ip": "10.1.1.5",
        "check": "/sync",
        "balance": "leastconn",
        "maxconn": 77,
        "options": "inter 9s",
        "selector": "[? pg_seq > `2`]",
    }
    text = services.files(cluster(pg_services=[own]))["pg-test-standby.cfg"]
    assert "bind 10.1.1.5:5435" in text
    assert "uri /sync" in text
    assert "balance leastconn" in text
    assert "maxconn 77" in text
    assert "default-server inter 9s\n" in text
    assert [line.split()[1] for line in text.splitlines() if "    server " in line] == [
        "pg-test-3",
        "pg-test-4",
    ]


def test_a_file_checks_the_members_patroni_by_verified_tls(cluster):
    text = services.files(cluster())["pg-test-replica.cfg"]
    assert text.splitlines()[0] == "listen pg-test-replica"
    assert (
        "server pg-test-4 10.1.1.14:6432 check port 8008 check-ssl verify required "
        "ca-file /etc/pki/ca.crt verifyhost pg-test-4 weight 10 backup"
    ) in text
    assert (
        "check-ssl" not in services.files(cluster(patroni_ssl_enabled=False))["pg-test-replica.cfg"]
    )


def test_timing_comes_from_the_preset(cluster):
    fast = services.files(cluster(pg_rto="fast"))["pg-test-primary.cfg"]
    assert "inter 1s fastinter 500ms downinter 1s rise 3 fall 3" in fast
    assert "on-marked-down shutdown-sessions" in fast


@pytest.mark.parametrize(
    ("service", "text"),
    [
        ({"port": 5500, "selector": "[]"}, "needs a name and a port"),
        ({"name": "x", "selector": "[]"}, "needs a name and a port"),
        ({"name": "x", "port": 5500, "selector": "[? pg_role =="}, "is no JMESPath"),
        ({"name": "x", "port": 5500, "selector": "[].pg_role"}, "doesn't select members"),
        ({"name": "x", "port": 5500, "selector": "[]", "backup": "nope"}, "doesn't select members"),
    ],
)
def test_mistakes_name_the_service(cluster, service, text):
    with pytest.raises(PillarError, match=text):
        services.services(cluster(pg_services=[service]))
