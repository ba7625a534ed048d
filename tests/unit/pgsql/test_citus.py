"""A Citus cluster: what its groups share, what each has for itself, and how its servers log in."""

from __future__ import annotations

import copy
import json

import pytest
import yaml

from pigsty import pillar as pillars
from pigsty import platform, rotation, sharding, topology
from pigsty.pillar.site import Site
from pigsty.render import citus, hba, hba_view, libraries, patroni, pglayout, record
from pigsty.render.tuning import GIB, Machine
from pigsty.sql import passwords, session

SITE = Site(key=b"k" * 32, ca="CA")
MACHINE = Machine(cpu=4, memory=8192, disk=100 * GIB)
COORDINATOR, FIRST, SECOND = ("10.1.2.10", "10.1.2.11"), ("10.1.2.20", "10.1.2.21"), ("10.1.2.30",)
SHARD = (*COORDINATOR, *FIRST, *SECOND)
PLAIN = "10.1.2.1"


def _members(hosts):
    roles = ("primary", "replica")
    return {
        ip: {"pg_seq": seq, "pg_role": role}
        for seq, (ip, role) in enumerate(zip(hosts, roles, strict=False), 1)
    }


def _group(number, hosts):
    return {"vars": {"pg_cluster": f"shop{number}", "pg_group": number}, "hosts": _members(hosts)}


INVENTORY = {
    "all": {
        "vars": {"admin_ip": PLAIN, "node_firewall_intranet": ["10.0.0.0/8"]},
        "children": {
            "infra": {"hosts": {PLAIN: {"infra_seq": 1}}},
            "etcd": {"hosts": {PLAIN: {"etcd_seq": 1}}, "vars": {"etcd_cluster": "etcd"}},
            "pg-meta": {"hosts": _members([PLAIN]), "vars": {"pg_cluster": "pg-meta"}},
            "shop": {
                "vars": {
                    "pg_mode": "citus",
                    "pg_shard": "shop",
                    "pg_primary_db": "sales",
                    "pg_libs": "pg_stat_statements, auto_explain",
                    "pg_extensions": ["postgresql-$v-citus-13.0"],
                    "pg_users": [
                        {"name": "app", "password": "App:Se\\cret", "pgbouncer": True},
                        {"name": "old", "password": "Old.Secret", "state": "absent"},
                        {"name": "known", "password": "md5" + "0" * 32},
                        {"name": "open"},
                    ],
                    "pg_databases": [{"name": "sales", "owner": "app"}],
                },
                "children": {
                    "shop0": _group(0, COORDINATOR),
                    "shop1": _group(1, FIRST),
                    "shop2": _group(2, SECOND),
                },
            },
        },
    }
}


@pytest.fixture
def deployment(tmp_path):
    """Return a function that gives the topology; variables of the shard changed."""

    def build(**changes):
        inventory = copy.deepcopy(INVENTORY)
        inventory["all"]["children"]["shop"]["vars"].update(changes)
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.yml"
        file.write_text(yaml.safe_dump(inventory))
        return topology.load(file)

    return build


@pytest.fixture
def compiled(deployment):
    """Return a function that gives the pillar of a host."""

    def build(ip, **changes):
        return pillars.compile_pillar(deployment(**changes), ip, SITE, platform.load())

    return build


def spec(compiled, ip=FIRST[0], **changes):
    return compiled(ip, **changes)["pgsql"]


def test_groups_of_a_shard_in_order_and_a_cluster_by_itself_alone(deployment):
    found = deployment()
    clusters = found.pg_clusters
    names = [cluster.name for cluster in sharding.together(found, clusters["shop1"])]
    assert names == ["shop0", "shop1", "shop2"]
    assert sharding.together(found, clusters["pg-meta"]) == (clusters["pg-meta"],)
    assert sharding.group(clusters["shop2"]) == sharding.Group("shop", 2, "sales")
    assert sharding.group(clusters["pg-meta"]) is None
    assert [sharding.scope(clusters[name]) for name in ("shop2", "pg-meta")] == ["shop", "pg-meta"]
    assert [sharding.path(clusters[name]) for name in ("shop2", "pg-meta")] == ["shop/2", "pg-meta"]


def test_one_etcd_user_for_a_shard_confined_to_its_prefix(compiled):
    users = compiled(PLAIN)["etcd"]["users"]
    assert [(user["name"], user["prefix"]) for user in users] == [
        ("pg-meta", "/pg/pg-meta/"),
        ("shop", "/pg/shop/"),
        ("pigsty_watch", "/pg/"),
    ]
    used = {
        (
            spec(compiled, ip)["patroni"]["etcd_username"],
            spec(compiled, ip)["patroni"]["etcd_password"],
        )
        for ip in SHARD
    }
    assert used == {("shop", users[1]["password"])}
    assert users[0]["password"] not in json.dumps(spec(compiled))


@pytest.mark.parametrize(
    ("ip", "group", "name"),
    [(COORDINATOR[1], 0, "shop0-2"), (FIRST[0], 1, "shop1-1"), (SECOND[0], 2, "shop2-1")],
)
def test_patroni_knows_the_shard_and_the_group(compiled, ip, group, name):
    own = spec(compiled, ip)
    text = patroni.text(patroni.build(own, MACHINE, watchdog=False))
    found = yaml.safe_load(text)
    assert (found["scope"], found["namespace"], found["name"]) == ("shop", "/pg/", name)
    assert found["citus"] == {"group": group, "database": "sales"}
    assert own["patroni"]["path"] == f"shop/{group}"
    assert own["backup"]["stanza"] == own["cluster"] == f"shop{group}"
    assert set(own["services"]["files"]) >= {f"shop{group}-primary.cfg", f"shop{group}-replica.cfg"}


def test_a_cluster_by_itself_has_no_citus_section(compiled):
    own = spec(compiled, PLAIN)
    assert own["citus"] is None and own["patroni"]["path"] == "pg-meta"
    assert "citus" not in patroni.build(own, MACHINE, watchdog=False)
    assert citus.files(own) == []


def test_a_new_group_says_what_patroni_would_otherwise_choose(compiled):
    begins = patroni.build(spec(compiled), MACHINE, watchdog=False)["bootstrap"]["dcs"]
    settings = begins["postgresql"]["parameters"]
    assert settings["shared_preload_libraries"].replace(" ", "").split(",")[0] == "citus"
    assert settings["max_prepared_transactions"] == settings["max_connections"] > 0
    assert settings["wal_level"] == "logical"
    assert begins["synchronous_mode"] is False, "Patroni takes quorum where nothing is said"


def test_members_of_every_group_may_call_the_coordinators_rest_api(compiled):
    wanted = {PLAIN, *SHARD}
    assert all(set(spec(compiled, ip)["patroni"]["allowed"]) == wanted for ip in SHARD)
    assert set(spec(compiled, PLAIN)["patroni"]["allowed"]) == {PLAIN}
    assert [peer["ip"] for peer in spec(compiled)["patroni"]["peers"]] == list(FIRST)


@pytest.mark.parametrize(
    "name", ["password", "replication_password", "superuser_password", "etcd_password"]
)
def test_groups_share_their_passwords(compiled, name):
    found = {spec(compiled, ip)["patroni"][name] for ip in SHARD}
    assert len(found) == 1 and "" not in found
    assert spec(compiled, PLAIN)["patroni"][name] not in found


def test_only_servers_that_log_in_to_each_other_give_the_superuser_a_password(deployment):
    found = deployment()
    assert passwords.password(found, "shop1", SITE, "pg_dbsu_password")
    assert passwords.password(found, "pg-meta", SITE, "pg_dbsu_password") == ""
    declared = deployment(pg_dbsu_password="Own.Secret")
    assert passwords.password(declared, "shop1", SITE, "pg_dbsu_password") == "Own.Secret"
    assert "pg_dist_authinfo" in rotation.fixed("pg_dbsu_password")


def test_roles_have_the_same_verifiers_in_every_group(compiled):
    found = [
        {role["name"]: role.get("password") for role in spec(compiled, ip)["objects"]["roles"]}
        for ip in (COORDINATOR[0], FIRST[0], SECOND[0])
    ]
    assert found[0] == found[1] == found[2]
    assert found[0]["postgres"] and found[0]["dbuser_dba"]


def test_the_superuser_comes_from_every_server_by_password_and_tls_into_that_database(compiled):
    own = spec(compiled)
    text = hba.render(own["hba"]["postgres"], hba.roles_of("primary", "primary", False))
    lines = [line.split() for line in text.splitlines() if line.startswith("host")]
    between = [["hostssl", "sales", "postgres", f"{ip}/32", "scram-sha-256"] for ip in SHARD]
    assert lines[: len(SHARD)] == between
    pooler = hba.render(own["hba"]["pgbouncer"], hba.roles_of("primary", "primary", False))
    assert "sales" not in pooler


def test_the_rule_is_shown_with_where_it_comes_from(deployment):
    found = deployment()
    rows = list(hba_view.rows(found, found.pg_clusters["shop1"], {}))
    mine = [row for row in rows if row.source == "pg_mode"]
    assert {row.member for row in mine} == {"shop1-1", "shop1-2"}
    assert len(mine) == 2 * len(SHARD) and all(row.server == "postgres" for row in mine)
    assert not [
        row
        for row in hba_view.rows(found, found.pg_clusters["pg-meta"], {})
        if row.source == "pg_mode"
    ]


def test_the_password_file_knows_every_server_and_who_has_a_password(compiled):
    own = spec(compiled)
    (file,) = citus.files(own)
    assert file.path == f"{own['params']['pg_dbsu_home']}/.pgpass"
    assert (file.mode, file.user, file.secret) == ("0600", "postgres", True)
    lines = [line for line in file.contents.splitlines() if not line.startswith("#")]
    dbsu = own["patroni"]["superuser_password"]
    for ip in (*SHARD, "localhost"):
        assert f"{ip}:5432:sales:app:App\\:Se\\\\cret" in lines
        assert f"{ip}:5432:sales:postgres:{dbsu}" in lines
    assert not [line for line in lines if ":old:" in line or ":known:" in line or ":open:" in line]


def test_no_other_cluster_gets_these_passwords(compiled):
    own = json.dumps(spec(compiled, PLAIN))
    assert "Se\\\\cret" not in own
    assert spec(compiled)["patroni"]["superuser_password"] not in own


def test_a_removed_member_takes_its_password_file_along(compiled):
    own = record.Record.of(spec(compiled))
    assert own.shard == "shop"
    gone = {file.path: file for file in own.around()}
    (file,) = citus.files(spec(compiled))
    assert gone[file.path].contents is None and gone[file.path].secret
    plain = record.Record.of(spec(compiled, PLAIN))
    assert plain.shard == plain.passfile == ""
    assert file.path not in {entry.path for entry in plain.around()}


def test_a_record_from_before_citus_is_still_read(compiled):
    old = json.loads(record.Record.of(spec(compiled, PLAIN)).text())
    del old["shard"], old["passfile"]
    assert record.Record.read(json.dumps(old)) == record.Record.of(spec(compiled, PLAIN))


def test_the_library_is_loaded_first_whatever_pg_libs_says(compiled):
    assert spec(compiled)["params"]["pg_libs"].split(", ")[0] == "citus"
    twice = {"pg_mode": "citus", "pg_libs": "pg_cron, citus"}
    assert libraries.effective(twice) == ["citus", "pg_cron"]
    assert libraries.effective(twice | {"pg_mode": "pgsql", "pg_libs": "pg_cron"}) == ["pg_cron"]


@pytest.mark.parametrize(("ip", "off"), [(FIRST[0], True), (PLAIN, False)])
def test_our_sessions_keep_citus_from_carrying_changes_elsewhere(compiled, monkeypatch, ip, off):
    seen = {}
    monkeypatch.setattr(session.psycopg, "connect", lambda **words: seen.update(words))
    session.Server.of_params(spec(compiled, ip)["params"]).connect("sales")
    assert ("citus.enable_ddl_propagation=off" in seen["options"]) is off


def test_the_file_is_no_folder_of_the_cluster(compiled):
    own = spec(compiled)
    (file,) = citus.files(own)
    assert file.path not in {entry.path for entry in pglayout.files(own)}
