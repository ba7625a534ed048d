"""Two pillars to the states that read what differs: the least set, and never too little."""

from __future__ import annotations

from typing import Any

import pytest
from editions import ADMIN, ALL, FIRST, ROOT, SECOND, THIRD, cluster, edited, site, states, touched

from pigsty import plan, targets
from pigsty.pillar import compile_pillar
from pigsty.platform import load
from pigsty.rotation import Rotation
from pigsty.targets import Job

RULE = {"title": "a new one", "user": "test", "db": "test", "addr": "10.9.9.0/24", "auth": "pwd"}


def rule(data: dict[str, Any]) -> None:
    cluster(data)["vars"]["pg_hba_rules"] = [RULE]


def user(data: dict[str, Any]) -> None:
    cluster(data)["vars"]["pg_users"].append({"name": "fresh", "password": "Secret.Of.Fresh",
                                              "pgbouncer": True})  # fmt: skip


def without_third(data: dict[str, Any]) -> None:
    del cluster(data)["hosts"][THIRD]


def with_a_fourth(data: dict[str, Any]) -> None:
    cluster(data)["hosts"]["10.10.10.14"] = {"pg_seq": 4, "pg_role": "replica"}


def test_an_edited_rule_is_one_state_on_the_members_of_its_cluster() -> None:
    found = touched(edited(rule))
    assert states(found) == dict.fromkeys((FIRST, SECOND, THIRD), ("pgsql.hba",))
    assert found.stages() == ((Job((FIRST, SECOND, THIRD), ("pgsql.hba",)),),)
    assert found.same == (ADMIN,)


def test_a_new_user_comes_into_postgresql_and_pgbouncer() -> None:
    found = touched(edited(user))
    mine = ("pgsql.objects", "pgsql.pgbouncer")
    assert states(found) == dict.fromkeys((FIRST, SECOND, THIRD), mine)


def test_a_comment_touches_nothing() -> None:
    text = (ROOT / "pillar/inventory/sandbox.yml").read_bytes() + b"# edited\n"
    now = plan.Basis.of(text, site())
    found = touched(now)
    assert (found.hosts, found.human, found.same) == ((), (), ALL)


def test_the_same_inventory_needs_no_pillar_at_all() -> None:
    assert touched(edited()) == plan.Plan(edited().id)


def test_a_setting_of_postgresql_is_for_the_whole_module_of_its_cluster() -> None:
    def setting(data: dict[str, Any]) -> None:
        cluster(data)["vars"]["pg_parameters"] = {"work_mem": "8MB"}

    assert states(touched(edited(setting))) == dict.fromkeys((FIRST, SECOND, THIRD), ("pgsql",))


def test_a_variable_of_all_touches_every_host_that_reads_it() -> None:
    def sysctl(data: dict[str, Any]) -> None:
        data["all"]["vars"]["node_sysctl_params"] = {"fs.nr_open": 1}

    assert states(touched(edited(sysctl))) == dict.fromkeys(ALL, ("node.tune",))


def test_a_new_member_comes_after_its_peers_know_it_and_before_it_is_watched() -> None:
    found = touched(edited(with_a_fourth))
    assert states(found)["10.10.10.14"] == ("highstate",)
    assert found.hosts[-1].why == "it was never applied"
    order = [(job.hosts, job.states) for stage in found.stages() for job in stage]
    assert order.index((("10.10.10.14",), ())) > order.index(((FIRST, SECOND, THIRD), ("pgsql",)))
    assert order[-1] == ((ADMIN,), ("infra",))


def test_a_new_cluster_has_its_user_in_etcd_before_its_members_log_in() -> None:
    def new(data: dict[str, Any]) -> None:
        data["all"]["children"]["pg-new"] = {
            "hosts": {"10.10.10.14": {"pg_seq": 1, "pg_role": "primary"}},
            "vars": {"pg_cluster": "pg-new"},
        }

    order = [(job.hosts, job.states) for stage in touched(edited(new)).stages() for job in stage]
    assert order.index(((ADMIN,), ("etcd",))) < order.index((("10.10.10.14",), ()))


def test_a_host_that_left_needs_a_person() -> None:
    found = touched(edited(without_third))
    assert found.gone == (THIRD,)
    assert "`pigsty pgsql rm pg-test pg-test-3`" in found.human[0]
    assert "`pigsty node rm 10.10.10.13`" in found.human[0]
    assert THIRD not in states(found)


def test_a_database_that_a_host_lost_needs_a_person_and_no_state_of_it_is_run() -> None:
    def alone(data: dict[str, Any]) -> None:
        without_third(data)
        data["all"]["children"]["plain"] = {"hosts": {THIRD: {"nodename": "plain-1"}}}

    found = touched(edited(alone))
    assert found.gone == (f"pgsql on {THIRD}",)
    assert "goes on running; `pigsty pgsql rm pg-test pg-test-3`" in found.human[0]
    assert not any(sls.startswith("pgsql") for sls in states(found).get(THIRD, ()))


@pytest.mark.parametrize(("key", "kind"), [("pg_users", "user"), ("pg_databases", "database")])
def test_an_object_that_is_no_longer_declared_stays_and_is_named(key: str, kind: str) -> None:
    def without(data: dict[str, Any]) -> None:
        cluster(data)["vars"][key] = []

    found = touched(edited(without))
    assert found.gone == ()
    assert len(found.human) == 1
    assert found.human[0].startswith(f"{kind} test of pg-test is no longer declared and stays")
    assert "`state: absent`" in found.human[0]


def test_an_object_that_shall_go_is_no_case_for_a_person() -> None:
    def absent(data: dict[str, Any]) -> None:
        cluster(data)["vars"]["pg_users"][0]["state"] = "absent"

    assert touched(edited(absent)).human == ()


def test_a_rotated_password_and_certificate_count_as_an_edit() -> None:
    turned = Rotation(
        {("pg-test", "pg_etcd_password"): 2}, {(FIRST, "pgsql"): "2026-01-01T00:00:00Z"}
    )
    found = states(touched(edited(own=site(rotation=turned))))
    assert found[ADMIN] == ("etcd",)
    assert found[FIRST] == ("pgsql", "node.monitor")
    assert found[SECOND] == ("pgsql",)


def test_another_ca_concerns_everything() -> None:
    found = states(touched(edited(own=site(next_ca="NEXT"))))
    assert found == dict.fromkeys(ALL, ("highstate",))


def test_a_host_whose_basis_is_lost_is_applied_as_a_whole() -> None:
    found = touched(edited(), {ADMIN: edited(), FIRST: None, SECOND: edited(), THIRD: edited()})
    assert states(found) == {FIRST: ("highstate",)}
    assert "isn't known" in found.hosts[0].why


def test_hosts_of_different_bases_are_each_compared_with_their_own() -> None:
    both = edited(rule, user)
    known = {ADMIN: edited(), FIRST: edited(rule), SECOND: edited(user), THIRD: both}
    assert states(touched(both, known)) == {
        FIRST: ("pgsql.objects", "pgsql.pgbouncer"),
        SECOND: ("pgsql.hba",),
    }


# -- what is told --------------------------------------------------------------------------------


def test_no_secret_is_told() -> None:
    def password(data: dict[str, Any]) -> None:
        cluster(data)["vars"]["pg_users"][0]["password"] = "Another.Secret.1"
        data["all"]["vars"]["pg_monitor_password"] = "Another.Secret.2"
        data["all"]["vars"]["haproxy_admin_password"] = "Another.Secret.3"
        user(data)

    turned = Rotation({("pg-test", "pg_etcd_password"): 2})
    now = edited(password, own=site(rotation=turned))
    found = touched(now)
    text = repr(found.hosts)
    assert found.hosts
    for secret in ("Another.Secret", "Secret.Of.Fresh", "DBUser.Monitor", "SCRAM-SHA-256$",
                   now.site.secret("pg-test", "pg_etcd_password"),
                   edited().site.secret("pg-test", "pg_etcd_password")):  # fmt: skip
        assert secret not in text
    told = {d.path for host in found.hosts for d in host.differences}
    assert {"pgsql:objects:roles", "pgsql:patroni:etcd_password"} <= told


def test_a_secret_that_alone_differs_is_still_a_difference() -> None:
    def password(data: dict[str, Any]) -> None:
        cluster(data)["vars"]["pg_users"][0]["password"] = "Another.Secret.1"

    found = touched(edited(password)).hosts[0].differences
    assert {(d.old, d.new) for d in found} == {(("********",), ("******** (another one)",))}


def test_differences_name_what_came_and_what_went() -> None:
    first = touched(edited(rule)).hosts[0].differences
    assert [(d.path, d.old, d.states) for d in first] == [
        ("pgsql:hba:postgres", (), ("pgsql.hba",))
    ]
    assert "title: a new one" in first[0].new[0]
    back = touched(edited(), dict.fromkeys(ALL, edited(rule))).hosts[0].differences
    assert (back[0].new, back[0].old) == ((), first[0].new)


def test_an_order_that_changed_is_told_as_such() -> None:
    def turned(data: dict[str, Any]) -> None:
        rules = data["all"]["vars"]["pg_default_hba_rules"]
        rules[0], rules[1] = rules[1], rules[0]

    def declared(data: dict[str, Any]) -> None:
        data["all"]["vars"]["pg_default_hba_rules"] = [
            {"title": "one", "user": "all", "db": "all", "addr": "10.0.0.1", "auth": "pwd"},
            {"title": "two", "user": "all", "db": "all", "addr": "10.0.0.2", "auth": "pwd"},
        ]

    found = touched(edited(declared, turned), dict.fromkeys(ALL, edited(declared)))
    (difference,) = found.hosts[1].differences
    assert difference.old == ()
    assert all(line.endswith(" (moved)") for line in difference.new)


def test_long_differences_are_cut_short() -> None:
    def many(data: dict[str, Any]) -> None:
        for number in range(40):
            cluster(data)["vars"]["pg_users"].append({"name": f"user{number}"})

    roles = next(
        d for d in touched(edited(many)).hosts[0].differences if d.path == "pgsql:objects:roles"
    )
    assert len(roles.new) == plan.SHOWN + 1
    assert roles.new[-1].startswith("… and ")


# -- the table -----------------------------------------------------------------------------------


def test_every_state_of_the_tables_exists_and_has_its_turn() -> None:
    known = {sls for readers in plan.READERS.values() for sls in readers}
    known |= {sls for module in targets.STATES.values() for sls in module}
    for sls in known:
        path = ROOT / "states" / sls.replace(".", "/")
        assert path.with_suffix(".sls").exists() or (path / "init.sls").exists(), sls
        assert sum(sls in stage for stage in plan.ORDER) == 1, sls
    assert plan.minimal(known - {plan.WHOLE}), "all of them can be put in order"


def test_every_path_of_the_table_is_in_a_pillar() -> None:
    basis = edited()
    pillars = [compile_pillar(basis.topology, host, basis.site, load()) for host in ALL]

    def has(data: Any, path: tuple[str, ...]) -> bool:
        return not path or (path[0] in data and has(data[path[0]], path[1:]))

    for path in plan.READERS:
        assert any(has(pillar, path) for pillar in pillars), path


def test_no_part_of_any_pillar_is_without_readers_but_those_that_no_state_reads() -> None:
    basis = edited()
    for host in ALL:
        pillar = compile_pillar(basis.topology, host, basis.site, load())
        for path, _old, _new in plan.compare({}, pillar):
            silent = [one for one, sls in plan.READERS.items() if not sls]
            assert plan.readers(path) or any(path[: len(one)] == one for one in silent), path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("pgsql", "hba", "postgres"), ("pgsql.hba",)),
        (("pgsql", "hba"), ("pgsql",)),
        (("pgsql", "params", "pg_conf"), ("pgsql",)),
        (("node", "node_data"), ("node", "node.monitor")),
        (("etcd", "members"), ("etcd",)),
        (("meta", "repo", "url"), ("highstate",)),
        (("meta", "checksum"), ()),
    ],
)
def test_what_the_table_does_not_name_is_read_by_its_module_or_by_all(
    path: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert plan.readers(path) == expected


@pytest.mark.parametrize(
    ("wanted", "least"),
    [
        ({"pgsql.hba", "pgsql"}, ("pgsql",)),
        ({"node", "node.hosts", "node.monitor"}, ("node", "node.monitor")),
        ({"pgsql.pgbouncer", "pgsql.hba", "node.hosts"},
         ("node.hosts", "pgsql.hba", "pgsql.pgbouncer")),
        ({"infra", "infra.repo", "highstate"}, ("highstate",)),
        (set(), ()),
    ],
)  # fmt: skip
def test_states_that_others_include_are_left_out(wanted: set[str], least: tuple[str, ...]) -> None:
    assert plan.minimal(wanted) == least


@pytest.mark.parametrize(
    ("ran", "needed", "covered"),
    [
        ((), ("pgsql.hba", "infra"), True),
        (("highstate",), ("etcd",), True),
        (("pgsql",), ("pgsql.hba", "pgsql"), True),
        (("pgsql.hba",), ("pgsql",), False),
        (("pgsql.hba",), ("pgsql.hba", "pgsql.objects"), False),
        (("node",), ("node.monitor",), False),
        (("node",), ("node.tune",), True),
        (("etcd",), (), True),
    ],
)
def test_what_ran_covers_what_was_needed(
    ran: tuple[str, ...], needed: tuple[str, ...], covered: bool
) -> None:
    assert plan.covers(ran, needed) is covered
