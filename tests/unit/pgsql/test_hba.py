"""HBA rules: aliases, order, dialects, and which of them a member has by its live role."""

from __future__ import annotations

import pytest

from pigsty.errors import PillarError
from pigsty.render import hba

CONTEXT = hba.Context(
    users={"dbsu": "postgres", "repl": "replicator", "monitor": "mon", "admin": "dba"},
    admin="10.0.0.1",
    infra=("10.0.0.1", "10.0.0.2"),
    cluster=("10.0.0.3", "10.0.0.4"),
    intranet=("10.0.0.0/8", "192.168.0.0/16"),
)


def lines(rule, **kwargs):
    """Return the lines of one rule with their blanks squeezed."""
    [compiled] = hba.compile_rules([rule], CONTEXT, **kwargs)
    return [" ".join(line.split()) for line in compiled["lines"]]


@pytest.mark.parametrize(
    ("addr", "expected"),
    [
        ("local", ["local all all scram-sha-256"]),
        (
            "localhost",
            [
                "local all all scram-sha-256",
                "host all all 127.0.0.1/32 scram-sha-256",
                "host all all ::1/128 scram-sha-256",
            ],
        ),
        ("admin", ["host all all 10.0.0.1/32 scram-sha-256"]),
        (
            "infra",
            [
                "host all all 10.0.0.1/32 scram-sha-256",
                "host all all 10.0.0.2/32 scram-sha-256",
            ],
        ),
        (
            "cluster",
            [
                "host all all 10.0.0.3/32 scram-sha-256",
                "host all all 10.0.0.4/32 scram-sha-256",
            ],
        ),
        (
            "intra",
            [
                "host all all 10.0.0.0/8 scram-sha-256",
                "host all all 192.168.0.0/16 scram-sha-256",
            ],
        ),
        (
            "world",
            ["host all all 0.0.0.0/0 scram-sha-256", "host all all ::/0 scram-sha-256"],
        ),
        ("10.1.2.3", ["host all all 10.1.2.3/32 scram-sha-256"]),
        ("10.1.2.0/24", ["host all all 10.1.2.0/24 scram-sha-256"]),
        ("2001:db8::/32", ["host all all 2001:db8::/32 scram-sha-256"]),
    ],
)
def test_addresses(addr, expected):
    assert lines({"addr": addr, "auth": "pwd"}) == expected


def test_every_alias_of_an_address_can_be_compiled():
    for alias in hba.ADDR_ALIASES:
        assert lines({"addr": alias, "auth": "pwd"})


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ("deny", "host all all 10.9.9.9/32 reject"),
        ("reject", "host all all 10.9.9.9/32 reject"),
        ("trust", "host all all 10.9.9.9/32 trust"),
        ("pwd", "host all all 10.9.9.9/32 scram-sha-256"),
        ("ssl", "hostssl all all 10.9.9.9/32 scram-sha-256"),
        ("ssl-md5", "hostssl all all 10.9.9.9/32 md5"),
        ("ssl-sha", "hostssl all all 10.9.9.9/32 scram-sha-256"),
        ("cert", "hostssl all all 10.9.9.9/32 cert"),
        ("os", "host all all 10.9.9.9/32 ident"),
        ("md5", "host all all 10.9.9.9/32 md5"),
    ],
)
def test_methods(auth, expected):
    assert lines({"addr": "10.9.9.9", "auth": auth}) == [expected]


def test_a_method_left_open_is_the_password():
    assert lines({"addr": "10.9.9.9"}) == ["host all all 10.9.9.9/32 scram-sha-256"]


def test_password_method_follows_the_cluster():
    context = hba.Context(CONTEXT.users, "10.0.0.1", (), (), (), password="md5")
    [rule] = hba.compile_rules([{"addr": "10.9.9.9", "auth": "ssl"}], context)
    assert rule["lines"][0].split()[-1] == "md5"


def test_the_system_account_on_the_socket_is_peer_and_over_the_network_ident():
    rule = {"user": "${dbsu}", "addr": "localhost", "auth": "ident"}
    assert lines(rule) == [
        "local all postgres peer",
        "host all postgres 127.0.0.1/32 ident",
        "host all postgres ::1/128 ident",
    ]


def test_methods_that_a_connection_cannot_have_are_left_out():
    assert lines({"addr": "localhost", "auth": "peer"}) == ["local all all peer"]
    assert [line.split()[0] for line in lines({"addr": "localhost", "auth": "cert"})] == [
        "hostssl",
        "hostssl",
    ]


@pytest.mark.parametrize(
    "rule", [{"addr": "10.9.9.9", "auth": "peer"}, {"addr": "local", "auth": "cert"}]
)
def test_a_rule_that_could_never_match_is_an_error(rule):
    with pytest.raises(PillarError, match="can't work"):
        hba.compile_rules([rule], CONTEXT)


def test_infra_may_stand_for_nobody():
    context = hba.Context(CONTEXT.users, "10.0.0.1", (), (), ())
    [rule] = hba.compile_rules([{"addr": "infra", "auth": "pwd"}], context)
    assert rule["lines"] == []


def test_tokens_stand_for_whole_names_only():
    assert lines({"user": "${repl}", "db": "replication", "addr": "local"}) == [
        "local replication replicator scram-sha-256"
    ]
    with pytest.raises(PillarError, match="unknown token"):
        hba.compile_rules([{"user": "${nobody}", "addr": "local"}], CONTEXT)


def test_lists_of_names_have_no_blanks_between():
    assert lines({"user": "a, b", "db": ["x", "y"], "addr": "local", "auth": "trust"}) == [
        "local x,y a,b trust"
    ]


@pytest.mark.parametrize("key", ["user", "db"])
def test_a_name_cannot_smuggle_in_a_line(key):
    evil = {key: "x\nhost all all 0.0.0.0/0 trust", "addr": "local"}
    with pytest.raises(PillarError, match="is not a name"):
        hba.compile_rules([evil], CONTEXT)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"addr": "nowhere"}, "neither an address"),
        ({"addr": "10.0.0.0/33"}, "neither an address"),
        ({}, "neither an address"),
        ({"addr": "local", "auth": "magic"}, "unknown auth 'magic'"),
        ({"addr": "local", "role": "king"}, "unknown role 'king'"),
    ],
)
def test_unknown_words_are_errors_that_name_the_rule(rule, text):
    with pytest.raises(PillarError, match=text) as caught:
        hba.compile_rules([{"title": "my rule", **rule}], CONTEXT)
    assert "my rule" in str(caught.value)


def test_raw_rules_pass_as_they_are():
    raw = {"title": "raw", "role": "replica", "rules": ["host a b samenet trust", "local c d peer"]}
    assert hba.compile_rules([raw], CONTEXT) == [
        {
            "role": "replica",
            "title": "raw",
            "lines": ["host a b samenet trust", "local c d peer"],
        }
    ]


def test_order_then_place():
    rules = [
        {"title": "c", "addr": "local"},
        {"title": "d", "addr": "local"},
        {"title": "b", "addr": "local", "order": 500},
        {"title": "a", "addr": "local", "order": 0},
        {"title": "b2", "addr": "local", "order": 500},
    ]
    titles = [rule["title"] for rule in hba.compile_rules(rules, CONTEXT)]
    assert titles == ["a", "b", "b2", "c", "d"]


def test_pgbouncer_says_peer_and_knows_neither_replication_nor_groups():
    assert lines({"user": "${dbsu}", "addr": "local", "auth": "os"}, pgbouncer=True) == [
        "local all postgres peer"
    ]
    for rule in ({"db": "replication", "addr": "intra"}, {"user": "+group", "addr": "intra"}):
        with pytest.raises(PillarError, match="PgBouncer"):
            hba.compile_rules([rule], CONTEXT, pgbouncer=True)


@pytest.mark.parametrize(
    ("declared", "live", "offline", "own"),
    [
        ("primary", None, False, {"primary"}),
        ("replica", None, False, {"replica"}),
        ("offline", None, False, {"offline"}),
        ("replica", "primary", False, {"primary"}),
        ("primary", "replica", False, {"replica"}),
        ("primary", "standby_leader", False, {"primary"}),
        ("offline", "replica", False, {"offline"}),
        ("offline", "primary", False, {"primary"}),
        ("replica", "replica", True, {"replica", "offline"}),
        ("replica", "primary", True, {"primary", "offline"}),
        ("delayed", "replica", False, {"delayed"}),
    ],
)
def test_roles_follow_the_live_one(declared, live, offline, own):
    assert hba.roles_of(declared, live, offline) == {"common", "default"} | own


def test_a_file_holds_the_rules_of_the_roles_and_no_others():
    rules = hba.compile_rules(
        [
            {"title": "everybody", "user": "a", "addr": "local"},
            {"title": "writers", "user": "b", "addr": "local", "role": "primary"},
            {"title": "etl", "user": "c", "addr": "local", "role": "offline"},
        ],
        CONTEXT,
    )
    primary = hba.render(rules, hba.roles_of("primary", "primary", False))
    replica = hba.render(rules, hba.roles_of("primary", "replica", False))
    offline = hba.render(rules, hba.roles_of("replica", "replica", True))
    assert ["writers" in text for text in (primary, replica, offline)] == [True, False, False]
    assert ["etl" in text for text in (primary, replica, offline)] == [False, False, True]
    assert all("everybody" in text for text in (primary, replica, offline))
    assert primary.endswith("\n") and "\n\n\n" not in primary


@pytest.mark.parametrize(
    "line",
    [
        "hots all all 10.0.0.0/8 reject",
        "host all all 10.0.0.0/8 rejcet",
        "host all all 10.0.0.0/8",
        "local all reject",
        "host all all 10.0.0.0 255.0.0.0",
        "include other.conf",
    ],
)
def test_a_raw_line_that_pgbouncer_would_pass_over_is_refused(line):
    with pytest.raises(PillarError, match=r"no kind of line|no method"):
        hba.compile_rules([{"rules": [line]}], CONTEXT, pgbouncer=True)


@pytest.mark.parametrize(
    "line",
    [
        "# a comment",
        'host "my db", other "a user" 10.0.0.0/8 md5',
        "host all all 10.0.0.0 255.0.0.0 reject",
        "hostssl a,b all ::1/128 cert map=x",
        "local all all peer # who is here",
    ],
)
def test_a_raw_line_that_pgbouncer_takes(line):
    assert hba.compile_rules([{"rules": [line]}], CONTEXT, pgbouncer=True)[0]["lines"] == [line]


def test_a_raw_line_for_postgresql_is_its_parsers_business_but_for_its_first_word():
    line = "hostgssenc all all 10.0.0.0/8 gss krb_realm=X"
    assert hba.compile_rules([{"rules": [line]}], CONTEXT)[0]["lines"] == [line]
    with pytest.raises(PillarError, match="no kind of line"):
        hba.compile_rules([{"rules": ["hots all all 10.0.0.0/8 trust"]}], CONTEXT)
