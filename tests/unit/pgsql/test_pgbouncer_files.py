"""PgBouncer's files: databases, users, verifiers, and what a reload can't bring."""

from __future__ import annotations

import pytest

from pigsty import platform
from pigsty.errors import PillarError
from pigsty.pillar import pgsql
from pigsty.pillar.site import Site
from pigsty.render import pgbouncer

SITE = Site(key=b"k" * 32, ca="CA")
PARAMS = {"pgbouncer_redirect_to": None, "pg_localhost": "/run", "pg_port": 5432}


def test_databases_by_socket_without_those_kept_out(pillar):
    text = pillar()["pgbouncer"]["databases"]
    assert "postgres = host=/var/run/postgresql port=5432\n" in text
    assert "app = host=/var/run/postgresql port=5432\n" in text
    assert "hidden" not in text


def test_options_of_a_database(pillar):
    database = {
        "name": "big-one",
        "pool_mode": "session",
        "pool_size": 7,
        "pool_size_min": 1,
        "pool_reserve": 2,
        "pool_connlimit": 9,
        "pool_auth_user": "app",
    }
    text = pillar(pg_databases=[database])["pgbouncer"]["databases"]
    assert (
        "big-one = host=/var/run/postgresql port=5432 auth_user=app pool_mode=session "
        "pool_size=7 min_pool_size=1 reserve_pool=2 max_db_connections=9"
    ) in text


def test_an_absent_database_is_not_listed(pillar):
    text = pillar(pg_databases=[{"name": "app", "state": "absent"}])["pgbouncer"]["databases"]
    assert "app" not in text


def test_traffic_can_be_redirected(pillar):
    text = pillar(pgbouncer_redirect_to="10.9.9.9")["pgbouncer"]["databases"]
    assert "app = host=10.9.9.9 port=5432" in text


@pytest.mark.parametrize("name", ["odd name", 'a"b', "a@b", "ünï", "x = y", ""])
def test_a_name_that_pgbouncer_cannot_read_is_an_error_with_a_way_out(pillar, name):
    with pytest.raises(PillarError, match="pgbouncer: false"):
        pgbouncer.databases({**PARAMS, "pg_databases": [{"name": name}]})
    kept_out = {**PARAMS, "pg_databases": [{"name": name, "pgbouncer": False}]}
    assert pgbouncer.databases(kept_out).count("\n") == 2


def test_settings_that_an_older_version_does_not_know_are_left_out(deployment):
    found = deployment()
    node = found.nodes["10.1.1.11"]
    old = pgsql.pillar(found, node, SITE, platform.load("debian-12"))["pgbouncer"]["ini"]
    new = pgsql.pillar(found, node, SITE, platform.load("debian-13"))["pgbouncer"]["ini"]
    assert "max_prepared_statements" in new and "max_prepared_statements" not in old


@pytest.mark.parametrize("value", ["x y", "x;y", "x\n[pgbouncer]", "a=b"])
def test_an_option_cannot_smuggle_in_another(pillar, value):
    with pytest.raises(PillarError, match="can't stand"):
        pillar(pg_databases=[{"name": "app", "pool_auth_user": value}])


def test_users_by_verifier_only(pillar):
    found = pillar()
    names = [line.split('"')[1] for line in found["pgbouncer"]["userlist"].splitlines()]
    assert names == ["postgres", "dbuser_dba", "dbuser_monitor", "app"]
    assert "App.Secret" not in str(found) and "Batch.Secret" not in str(found)
    [line] = [x for x in found["pgbouncer"]["userlist"].splitlines() if x.startswith('"app"')]
    assert line.startswith('"app" "SCRAM-SHA-256$4096:')


def test_pgbouncer_and_the_server_have_the_same_verifier(pillar):
    """Or PgBouncer could not pass a SCRAM login through to the server."""
    found = pillar()
    verifiers = {role["name"]: role.get("password") for role in found["objects"]["roles"]}
    for line in found["pgbouncer"]["userlist"].splitlines():
        _, name, _, verifier, _ = line.split('"')
        if name != "postgres":
            assert verifier == verifiers[name]


def test_a_user_that_is_gone_or_has_no_password_is_not_listed(pillar):
    users = [
        {"name": "old", "password": "x", "pgbouncer": True, "state": "absent"},
        {"name": "nopass", "pgbouncer": True},
    ]
    text = pillar(pg_users=users)["pgbouncer"]["userlist"]
    assert "old" not in text and "nopass" not in text


def test_a_lookup_in_the_database_spares_the_list(pillar):
    found = pillar(pgbouncer_auth_query=True)["pgbouncer"]
    assert "app" not in found["userlist"] and "dbuser_dba" in found["userlist"]
    assert "auth_user = dbuser_monitor" in found["ini"] and "auth_query" in found["ini"]
    assert "auth_query" not in pillar()["pgbouncer"]["ini"]


def test_a_renamed_administrator_comes_by_the_new_name(pillar):
    text = pillar(pg_admin_username="boss")["pgbouncer"]["userlist"]
    assert '"boss"' in text and "dbuser_dba" not in text


def test_options_of_users(pillar):
    users = [{"name": "app", "password": "x", "pgbouncer": True, "pool_mode": "statement"}]
    text = pillar(pg_users=users)["pgbouncer"]["useropts"]
    assert "app = pool_mode=statement\n" in text
    assert "dbuser_dba = pool_mode=session max_user_connections=16\n" in text


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-full"])
def test_tls(pillar, mode):
    text = pillar(pgbouncer_sslmode=mode)["pgbouncer"]["ini"]
    assert f"client_tls_sslmode = {mode}\n" in text
    assert "client_tls_key_file = /pg/cert/server.key\n" in text


def test_tls_is_on_unless_it_is_declared_off(pillar):
    assert "client_tls_sslmode = prefer\n" in pillar()["pgbouncer"]["ini"]
    off = pillar(pgbouncer_sslmode="disable")["pgbouncer"]["ini"]
    assert "client_tls_sslmode = disable\n" in off and "client_tls_key_file" not in off


def test_it_listens_where_postgresql_does(pillar):
    text = pillar("10.1.1.12", pg_listen="${ip},${lo}")["pgbouncer"]["ini"]
    assert "listen_addr = 10.1.1.12,127.0.0.1\n" in text


def test_what_a_reload_cannot_bring(pillar):
    old = pillar()["pgbouncer"]["ini"]
    same = old.replace("default_pool_size = 50", "default_pool_size = 51")
    other = old.replace("listen_port = 6432", "listen_port = 6433")
    assert pgbouncer.restart_only(old) == pgbouncer.restart_only(same)
    assert pgbouncer.restart_only(old) != pgbouncer.restart_only(other)
    assert set(pgbouncer.restart_only(old)) == set(pgbouncer.RESTART_ONLY)


def test_names_and_verifiers_cannot_break_out_of_their_quotes():
    login = pgbouncer.Login('a"b', 'v"w', {})
    assert pgbouncer.userlist([login]) == '"a""b" "v""w"\n'
    with pytest.raises(PillarError):
        pgbouncer.userlist([pgbouncer.Login("a\nb", "v", {})])


def test_a_restart_of_the_server_turns_clients_away_for_a_second_only(pillar):
    assert "server_login_retry = 1\n" in pillar()["pgbouncer"]["ini"]


LIST = '"app" "SCRAM-1"\n"odd""name" "SCRAM-2"\n"gone" "SCRAM-3"\n'
NEW = '"app" "SCRAM-4"\n"odd""name" "SCRAM-5"\n"late" "SCRAM-6"\n'


def test_of_a_list_only_some_become_as_declared():
    assert pgbouncer.merged(LIST, NEW, {"app"}) == LIST.replace("SCRAM-1", "SCRAM-4")
    assert pgbouncer.merged(LIST, NEW, {'odd"name'}) == LIST.replace("SCRAM-2", "SCRAM-5")
    assert pgbouncer.merged(LIST, NEW, {"gone"}) == LIST.replace('"gone" "SCRAM-3"\n', "")
    added = '"app" "SCRAM-1"\n"odd""name" "SCRAM-2"\n"late" "SCRAM-6"\n"gone" "SCRAM-3"\n'
    assert pgbouncer.merged(LIST, NEW, {"late"}) == added
    assert pgbouncer.merged(LIST, NEW, {"app", 'odd"name', "late", "gone"}) == NEW


def test_of_the_databases_only_some_become_as_declared():
    have = "; a banner\na = host=x\nb = host=x pool_size=1\n"
    want = "; a banner\na = host=y\nb = host=y\n"
    assert pgbouncer.merged(have, want, {"b"}) == "; a banner\na = host=x\nb = host=y\n"
    assert pgbouncer.merged(want, want, set()) == want
