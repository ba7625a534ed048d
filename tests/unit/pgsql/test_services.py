"""HAProxy services: who stands behind each port, and who only if nobody else does."""

from __future__ import annotations

import dataclasses

import pytest

from pigsty.errors import PillarError
from pigsty.render import services


@pytest.fixture
def cluster(deployment):
    def build(host=None, **changes):
        return deployment(host, **changes).pg_clusters["pg-test"]

    return build


def behind(found, name):
    """Return {member: what it is asked} of a service; of its backups as well."""
    [service] = [service for service in found if service.name == name]
    main, spare = {}, {}
    for server in service.servers:
        asked = " and ".join(("" if q.yes else "not ") + q.path for q in server.asks)
        (spare if server.backup else main)[server.name[-1]] = asked
    return main, spare


def test_the_four_services(cluster):
    found = services.services(cluster())
    assert [(s.name, s.port, s.target) for s in found] == [
        ("pg-test-primary", 5433, 6432),
        ("pg-test-replica", 5434, 6432),
        ("pg-test-default", 5436, 5432),
        ("pg-test-offline", 5438, 5432),
    ]


def test_any_member_may_lead(cluster):
    found = services.services(cluster())
    for name in ("pg-test-primary", "pg-test-default"):
        assert behind(found, name) == (dict.fromkeys("1234", "/primary"), {})


def test_replicas_serve_reads_and_who_leads_only_without_them(cluster):
    """Whoever leads answers the first question with no: no member is written down as the leader."""
    main, spare = behind(services.services(cluster()), "pg-test-replica")
    assert main == dict.fromkeys("123", "/replica")
    # The offline member too; the others are asked here only when none of them is a replica.
    assert spare == dict.fromkeys("1234", "/read-only")


def test_offline_queries_go_to_offline_members_else_to_replicas(cluster):
    main, spare = behind(services.services(cluster()), "pg-test-offline")
    assert main == dict.fromkeys("34", "/replica")
    assert spare == dict.fromkeys("12", "/replica")


def test_the_written_role_makes_no_difference(cluster):
    declared = [cluster(), cluster("10.1.1.11", pg_role="replica")]
    first, second = (services.files(c) for c in declared)
    assert first == second


@pytest.mark.parametrize(
    ("definition", "main", "spare"),
    [
        # Only replicas: the one that leads is out, whoever it is.
        ({"selector": "[? pg_role == 'replica']"}, dict.fromkeys("123", "/replica?lag=1MB"), {}),
        # Only who leads, on a question that replicas answer as well.
        (
            {"selector": "[? pg_role == 'primary']"},
            dict.fromkeys("1234", "/read-only?lag=1MB and /leader"),
            {},
        ),
        # A declared attribute beside the live role: member 2 in any role.
        (
            {"selector": "[? pg_role == 'replica' || pg_seq == `2` ]"},
            {"1": "/replica?lag=1MB", "2": "/read-only?lag=1MB", "3": "/replica?lag=1MB"},
            {},
        ),
        # The leader first, and replicas if there is none.
        (
            {"selector": "[]", "backup": "[? pg_role == 'replica']"},
            {str(n): "/read-only?lag=1MB and /leader" for n in range(1, 4)}
            | {"4": "/read-only?lag=1MB"},
            dict.fromkeys("123", "/read-only?lag=1MB"),
        ),
        # A question that both answer, and that has no form for replicas.
        (
            {"selector": "[? pg_role == 'replica']", "check": "/health"},
            dict.fromkeys("123", "/health and not /leader"),
            {},
        ),
        # The role doesn't matter where only one can answer.
        (
            {"selector": "[? pg_role == 'primary']", "check": "/sync"},
            {},
            {},
        ),
        ({"selector": "[? pg_role == 'offline']"}, {"4": "/replica?lag=1MB"}, {}),
        ({"selector": "[? pg_seq > `2`]"}, dict.fromkeys("34", "/read-only?lag=1MB"), {}),
    ],
)
def test_roles_in_selectors_are_the_live_ones(cluster, definition, main, spare):
    own = {"name": "own", "port": 5500, "check": "/read-only?lag=1MB", **definition}
    found = behind(services.services(cluster(pg_services=[own])), "pg-test-own")
    assert found == (main, spare)


def test_the_only_member_serves_reads_as_well(deployment):
    whole = deployment().pg_clusters["pg-test"]
    alone = dataclasses.replace(whole, members=whole.members[:1])
    found = services.services(alone)
    assert behind(found, "pg-test-replica") == ({}, {"1": "/read-only"})
    assert behind(found, "pg-test-offline") == ({}, {})


def test_backups_have_a_part_of_their_own(cluster):
    text = services.files(cluster())["pg-test-replica.cfg"]
    first, second = text.split("\n\n")
    assert first.startswith("listen pg-test-replica\n    bind *:5434\n")
    assert "use_backend pg-test-replica.backup if { nbsrv(pg-test-replica) eq 0 }" in first
    assert second.startswith("backend pg-test-replica.backup\n")
    assert "uri /replica\n" in first and "uri /read-only\n" in second
    assert "bind" not in second and "use_backend" not in second
    assert "use_backend" not in services.files(cluster())["pg-test-primary.cfg"]


def test_members_with_different_checks_are_checked_apart_and_balanced_together(cluster):
    own = {"name": "own", "port": 5500, "check": "/health"}
    own["selector"] = "[? pg_role == 'replica' || pg_seq == `2` ]"
    first, *checks = services.files(cluster(pg_services=[own]))["pg-test-own.cfg"].split("\n\n")
    assert [line.split()[1:5] for line in first.splitlines() if "    server " in line] == [
        [f"pg-test-{n}", f"10.1.1.1{n}:6432", "track", f"pg-test-own.check{c}/pg-test-{n}"]
        for n, c in ((1, 1), (2, 2), (3, 1))
    ]
    assert "httpchk" not in first
    assert [check.splitlines()[0] for check in checks] == [
        "backend pg-test-own.check1",
        "backend pg-test-own.check2",
    ]
    assert checks[0].splitlines()[2:9] == [
        "    option httpchk",
        "    http-check connect default",
        "    http-check send meth OPTIONS uri /health",
        "    http-check expect status 200",
        "    http-check connect default",
        "    http-check send meth OPTIONS uri /leader",
        "    http-check expect ! status 200",
    ]


def test_only_what_shares_the_load_starts_slowly(cluster):
    """A new leader is alone: a slow start would turn away the clients that come back to it."""
    texts = services.files(cluster())
    slow = {name for name, text in texts.items() if "slowstart" in text}
    assert slow == {"pg-test-replica.cfg", "pg-test-offline.cfg"}


def test_weights_are_the_members_own(cluster):
    text = services.files(cluster("10.1.1.12", pg_weight=7))["pg-test-primary.cfg"]
    assert [line.split()[-1] for line in text.splitlines() if "    server " in line].count("7") == 1


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
        "ca-file /etc/pki/ca.crt verifyhost pg-test-4 weight 10"
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
