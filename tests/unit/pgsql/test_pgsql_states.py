"""The states of a member: what they change, what they never touch, and what survives a cut-off."""

from __future__ import annotations

import pytest
import yaml
from salt.exceptions import CommandExecutionError

PATRONI, PGBOUNCER = "patroni.service", "pgbouncer.service"
HBA = "/pg/conf/pg_hba.conf"
STATUS = {
    "name": "pg-test-1",
    "role": "primary",
    "state": "running",
    "pending_restart": (),
    "paused": False,
}


class Server:
    """PostgreSQL as the HBA state sees it."""

    def __init__(self, member):
        self.member = member
        self.running = False
        self.prepared = True
        self.refuses = []
        self.loaded = None

    def stale(self, path):
        return self.running and self.loaded != self.member.texts.get(path)

    def reload(self):
        if self.running:
            self.loaded = self.member.texts.get(HBA)
        return self.running


@pytest.fixture
def server(member):
    found = Server(member)
    member.salt |= {
        "pigsty_hba.file": member.load("_modules", "pigsty_hba").file,
        "pigsty_hba.stale": found.stale,
        "pigsty_hba.prepared": lambda path: found.prepared,
        "pigsty_hba.errors": lambda: found.refuses,
        "pigsty_hba.reload": found.reload,
    }
    return found


@pytest.fixture
def hba(member, server):
    return member.load("_states", "pigsty_hba").managed


@pytest.fixture
def patroni(member):
    module = member.load("_modules", "pigsty_patroni")
    member.salt |= {
        "pigsty_patroni.files": module.files,
        "pigsty_patroni.inputs": module.inputs,
        "pigsty_patroni.await_member": lambda unit: dict(STATUS),
        "pigsty_patroni.watchdog": lambda: False,
        "pigsty_patroni.refused": lambda: dict(member.complaints),
        "pigsty_patroni.lacking": lambda: list(member.lacking),
        "pigsty_note.add": lambda *note: member.notes.append(note),
    }
    member.notes, member.complaints, member.lacking = [], {}, []
    member.install(PATRONI)
    return member.load("_states", "pigsty_patroni").managed


@pytest.fixture
def accepted(member, patroni):
    return member.load("_states", "pigsty_patroni").accepted


@pytest.fixture
def pgbouncer(member, server, tmp_path):
    module = member.load("_modules", "pigsty_pgbouncer")
    module.STARTED = tmp_path / "started"
    for name in ("files", "need", "mark"):
        member.salt[f"pigsty_pgbouncer.{name}"] = getattr(module, name)
    member.salt["pigsty_file.read"] = lambda path: (
        module.STARTED.read_text()
        if path == str(module.STARTED) and module.STARTED.exists()
        else member.texts.get(path)
    )
    # The package has started it with the package's own configuration.
    member.install(PGBOUNCER, "active")
    member.texts["/etc/pgbouncer/pgbouncer.ini"] = "[pgbouncer]\nlisten_addr = localhost\n"
    return member.load("_states", "pigsty_pgbouncer").managed


def thrice(member, state, name="state"):
    """Run a state as a test, for real and again; return the changes, which must agree."""
    member.opts["test"] = True
    acts, texts = list(member.acts), dict(member.texts)
    trial = state(name)
    assert (member.acts, member.texts) == (acts, texts)
    member.opts["test"] = False
    first = state(name)
    again = state(name)
    assert trial["result"] is (None if trial["changes"] else True)
    assert first["result"] is True, first["comment"]
    assert first["changes"] == trial["changes"]
    assert again["result"] is True and again["changes"] == {}
    return first["changes"]


def test_patroni_is_configured_and_started_once(member, patroni):
    changes = thrice(member, patroni)
    assert {"/etc/patroni/config.yml", PATRONI} <= set(changes)
    assert changes["tags.nofailover"] == {"old": None, "new": False}
    assert member.acts == [("active", PATRONI)]
    assert member.loaded == [PATRONI]


def test_a_changed_configuration_is_reloaded_and_nothing_restarted(member, patroni):
    patroni("state")
    member.acts.clear()
    member.pillar["pigsty"]["pgsql"]["params"]["pg_parameters"] = {"work_mem": "9MB"}
    changes = thrice(member, patroni)
    assert member.acts == [("reload", PATRONI)]
    # A setting may be shown, the rest of the file holds passwords.
    assert changes["postgresql.parameters.work_mem"] == {"old": None, "new": "9MB"}
    assert not [path for path in changes if "password" in path]


def written(member):
    return yaml.safe_load(member.texts["/etc/patroni/config.yml"])


def test_a_setting_that_postgresql_refuses_is_left_out_told_and_harms_no_other(
    member, patroni, accepted
):
    patroni("state")
    assert accepted("state")["result"] is True
    own = {"work_mem": "much", "random_page_cost": 1.3}
    member.pillar["pigsty"]["pgsql"]["params"]["pg_parameters"] = own
    member.complaints = {"work_mem": 'invalid value for parameter "work_mem": "much"'}
    thrice(member, patroni)
    settings = written(member)["postgresql"]["parameters"]
    assert settings["random_page_cost"] == 1.3 and "work_mem" not in settings
    for test in (True, False):
        member.opts["test"] = test
        told = accepted("state")
        assert told["result"] is False and told["changes"] == {}
        assert 'invalid value for parameter "work_mem": "much"' in told["comment"]


def test_a_member_says_which_libraries_it_can_load(member, patroni, accepted):
    patroni("state")
    assert written(member)["tags"]["libraries"] == "pg_stat_statements,auto_explain"
    member.pillar["pigsty"]["pgsql"]["params"]["pg_libs"] = "pg_cron, auto_explain"
    member.complaints = {"shared_preload_libraries": "not installed here: pg_cron"}
    member.lacking = ["pg_cron"]
    member.units[PATRONI]["ActiveState"] = "active"
    member.opts["test"] = True
    # The run that this is a trial of would install packages first.
    assert patroni("state")["result"] is None and accepted("state")["result"] is True
    member.opts["test"] = False
    assert patroni("state")["result"] is True
    assert "not installed here: pg_cron" in accepted("state")["comment"]
    assert written(member)["tags"]["libraries"] == "-pg_cron,auto_explain"
    for test in (True, False):
        member.opts["test"] = test
        assert patroni("state")["changes"] == {} and accepted("state")["result"] is False


def test_a_new_cluster_begins_without_a_library_that_is_not_there(member, patroni, accepted):
    member.pillar["pigsty"]["pgsql"]["params"]["pg_libs"] = "pg_cron, auto_explain"
    member.complaints = {"shared_preload_libraries": "not installed here: pg_cron"}
    member.lacking = ["pg_cron"]
    patroni("state")
    assert accepted("state")["result"] is False
    begins = written(member)["bootstrap"]["dcs"]["postgresql"]["parameters"]
    assert begins["shared_preload_libraries"] == "auto_explain"
    assert member.acts == [("active", PATRONI)]


def test_a_member_that_joins_without_a_library_is_not_started(member, patroni):
    member.pillar["pigsty"]["pgsql"]["role"] = "replica"
    member.complaints = {"shared_preload_libraries": "not installed here: pg_cron"}
    member.lacking = ["pg_cron"]
    result = patroni("state")
    assert result["result"] is False and "would not start" in result["comment"]
    assert member.acts == []


def test_a_reload_that_was_cut_off_is_made_up_for(member, patroni):
    patroni("state")
    member.acts.clear()
    member.stale.add(PATRONI)
    changes = thrice(member, patroni)
    assert set(changes) == {PATRONI} and member.acts == [("reload", PATRONI)]


def test_a_live_role_other_than_the_written_one_changes_nothing(member, patroni):
    patroni("state")
    before, member.live = dict(member.texts), "replica"
    member.acts.clear()
    assert thrice(member, patroni) == {}
    assert member.texts == before and member.acts == []


def test_what_waits_for_a_restart_is_said(member, patroni):
    waiting = {**STATUS, "pending_restart": ("max_connections", "shared_buffers")}
    member.salt["pigsty_patroni.await_member"] = lambda unit: waiting
    result = patroni("state")
    assert "wait for a restart of PostgreSQL: max_connections, shared_buffers" in result["comment"]


def test_a_member_that_never_serves_is_a_failure_with_its_changes(member, patroni):
    def never(unit):
        raise CommandExecutionError("PostgreSQL serves under Patroni: not within 180 s")

    member.salt["pigsty_patroni.await_member"] = never
    result = patroni("state")
    assert result["result"] is False and "not within" in result["comment"]
    assert "/etc/patroni/config.yml" in result["changes"]


def test_a_missing_watchdog_is_noted_and_no_failure(member, patroni):
    member.pillar["pigsty"]["pgsql"]["params"]["patroni_watchdog_mode"] = "automatic"
    thrice(member, patroni)
    assert member.notes and "watchdog" in member.notes[0]
    assert "mode: 'off'" in member.texts["/etc/patroni/config.yml"]


def test_a_missing_watchdog_that_is_required_stops_before_anything_is_done(member, patroni):
    member.pillar["pigsty"]["pgsql"]["params"]["patroni_watchdog_mode"] = "required"
    result = patroni("state")
    assert result["result"] is False and "/dev/watchdog" in result["comment"]
    assert member.texts == {} and member.acts == []


def test_no_secret_of_patronis_file_is_shown(member, patroni):
    spec = member.pillar["pigsty"]["pgsql"]["patroni"]
    [file] = member.salt["pigsty_patroni.files"]()
    assert spec["replication_password"] in file.contents
    assert file.secret and file.mode == "0600" and file.user == "postgres"


def test_hba_is_there_before_the_first_start(member, server, hba):
    assert set(thrice(member, hba, HBA)) == {HBA}
    assert "replicator" in member.texts[HBA]


def test_hba_is_not_written_where_no_member_was_made_yet(member, server, hba):
    server.prepared = False
    result = hba(HBA)
    assert result["result"] is False and "pigsty pgsql add" in result["comment"]
    assert HBA not in member.texts


def test_hba_is_loaded_by_a_running_server(member, server, hba):
    server.running = True
    thrice(member, hba, HBA)
    assert server.loaded == member.texts[HBA]


def test_hba_that_was_written_but_not_loaded_is_loaded(member, server, hba):
    hba(HBA)
    server.running = True
    assert set(thrice(member, hba, HBA)) == {"loaded"}


def test_hba_that_the_server_refuses_is_taken_back(member, server, hba):
    hba(HBA)
    server.running, server.loaded = True, member.texts[HBA]
    good = member.texts[HBA]
    rules = member.pillar["pigsty"]["pgsql"]["hba"]["postgres"]
    rules.append({"role": "common", "title": "bad", "lines": ["host everything"]})
    server.refuses = ["line 60: end-of-line before IP address specification"]
    result = hba(HBA)
    assert result["result"] is False and "line 60" in result["comment"]
    assert member.texts[HBA] == good and server.loaded == good


def test_hba_follows_the_live_role(member, server, hba):
    rules = member.pillar["pigsty"]["pgsql"]["hba"]["postgres"]
    rules.append({"role": "primary", "title": "for the leader", "lines": ["local x y peer"]})
    hba(HBA)
    assert "for the leader" in member.texts[HBA]
    server.running, server.loaded, member.live = True, member.texts[HBA], "replica"
    thrice(member, hba, HBA)
    assert "for the leader" not in member.texts[HBA]


def test_pgbouncer_of_the_package_is_restarted_into_our_configuration(member, pgbouncer):
    changes = thrice(member, pgbouncer)
    assert changes[PGBOUNCER]["loaded"]["new"] == "restart"
    assert member.acts == [("restart", PGBOUNCER)]


def test_pgbouncer_keeps_its_clients_over_a_change(member, pgbouncer):
    pgbouncer("state")
    member.acts.clear()
    texts = member.pillar["pigsty"]["pgsql"]["pgbouncer"]
    texts["databases"] += "more = host=/var/run/postgresql port=5432\n"
    texts["ini"] = texts["ini"].replace("default_pool_size = 50", "default_pool_size = 51")
    changes = thrice(member, pgbouncer)
    assert changes[PGBOUNCER]["loaded"]["new"] == "reload"
    assert member.acts == [("reload", PGBOUNCER)]


def test_pgbouncer_restarts_for_what_a_reload_cannot_bring(member, pgbouncer):
    pgbouncer("state")
    member.acts.clear()
    texts = member.pillar["pigsty"]["pgsql"]["pgbouncer"]
    texts["ini"] = texts["ini"].replace("listen_port = 6432", "listen_port = 7432")
    thrice(member, pgbouncer)
    assert member.acts == [("restart", PGBOUNCER)]


def test_pgbouncer_reloads_a_renewed_certificate(member, pgbouncer):
    pgbouncer("state")
    member.acts.clear()
    member.stale.add(PGBOUNCER)
    thrice(member, pgbouncer)
    assert member.acts == [("reload", PGBOUNCER)]


@pytest.mark.parametrize(
    ("only", "changed"),
    [
        ({"users": ["app"]}, {"userlist.txt"}),
        ({"users": []}, {"userlist.txt"}),
        ({"users": ["other"]}, set()),
        ({"databases": ["app"]}, {"database.txt"}),
        ({"databases": ["other"]}, set()),
        ({"hba": []}, {"pgb_hba.conf"}),
        ({}, {"pgbouncer.ini", "userlist.txt", "database.txt", "pgb_hba.conf"}),
    ],
)
def test_pgbouncer_follows_only_what_is_meant(member, pgbouncer, only, changed):
    pgbouncer("state")
    texts = member.pillar["pigsty"]["pgsql"]["pgbouncer"]
    assert '"app" "SCRAM' in texts["userlist"] and "\napp = " in texts["databases"]
    texts["ini"] = texts["ini"].replace("query_wait_timeout = 120", "query_wait_timeout = 60")
    texts["userlist"] = texts["userlist"].replace('"app" "SCRAM', '"app" "another SCRAM')
    texts["databases"] = texts["databases"].replace("\napp = ", "\napp = pool_size=3 ")
    rule = {"role": "common", "title": "new", "lines": ["local all all reject"]}
    member.pillar["pigsty"]["pgsql"]["hba"]["pgbouncer"] = [rule]
    member.pillar["pigsty_only"] = only
    paths = {path.rpartition("/")[2] for path in thrice(member, pgbouncer)} - {PGBOUNCER}
    assert paths == changed


def test_pgbouncer_can_be_off(member, pgbouncer):
    member.pillar["pigsty"]["pgsql"]["params"]["pgbouncer_enabled"] = False
    changes = thrice(member, pgbouncer)
    assert changes[PGBOUNCER]["active"] == {"old": "active", "new": "inactive"}
    assert member.units[PGBOUNCER]["UnitFileState"] == "disabled"
