"""The state of Patroni's dynamic configuration: the leader changes the DCS, the others look on."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from dcs import live, merged
from salt.exceptions import CommandExecutionError

from pigsty import deadlines
from pigsty.errors import ClientError
from pigsty.render import dynamic
from pigsty.render.tuning import GIB

SETTINGS = dynamic.SETTINGS


class Dcs:
    """The client of this member, with a DCS in memory."""

    def __init__(self, present):
        self.present, self.leads, self.down, self.patches = present, True, False, []
        self.pending: tuple[str, ...] = ()
        self.complaints: dict[str, str] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def cluster(self):
        return SimpleNamespace(
            members=[SimpleNamespace(name=name, tags=tags) for name, tags in self.tags.items()]
        )

    def status(self):
        if self.down:
            raise ClientError("nobody there")
        return SimpleNamespace(leader=self.leads, pending_restart=self.pending)

    def config(self):
        return copy.deepcopy(self.present)

    def patch_config(self, body):
        self.patches.append(body)
        self.present = merged(self.present, body)


@pytest.fixture
def dcs(pillar, member):
    """The DCS of the cluster as it was made, and the state of the member that leads."""
    made = Dcs(live(pillar()))
    module = member.load("_modules", "pigsty_dynamic")
    module._client, module.__context__ = lambda: made, {}
    member.salt |= {
        "pigsty_dynamic.changes": module.changes,
        "pigsty_dynamic.apply": module.apply,
        "pigsty_dynamic.estranged": module.estranged,
        "pigsty_dynamic.refused": module.refused,
        "pigsty_patroni.refused": lambda: dict(made.complaints),
        "pigsty_patroni.machine": lambda: {"cpu": 4, "memory": 16384, "disk": 100 * GIB},
    }
    made.state = member.load("_states", "pigsty_dynamic").managed
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(deadlines, "POLL_SECONDS", 0.001)


@pytest.fixture
def impatient(monkeypatch):
    short = {"patroni.notices": 0.1, "patroni.libraries": 0.1, "patroni.tags": 0.1}
    monkeypatch.setattr(deadlines, "DEADLINES", short)


def declare(member, **parameters):
    member.pillar["pigsty"]["pgsql"]["params"]["pg_parameters"] = parameters


def test_the_leader_changes_the_dcs_once_and_says_what_waits(dcs, member):
    declare(member, max_wal_senders=60)
    dcs.pending = ("max_wal_senders",)
    member.opts["test"] = True
    trial = dcs.state("x")
    assert trial["result"] is None and dcs.patches == []
    member.opts["test"] = False
    done, again = dcs.state("x"), dcs.state("x")
    assert done["changes"] == trial["changes"]
    assert done["changes"] == {f"{SETTINGS}max_wal_senders": {"old": 50, "new": 60}}
    assert "max_wal_senders: in force after a restart" in done["comment"]
    assert "pigsty pgsql restart pg-test --pending" in trial["comment"]
    assert again["changes"] == {} and again["result"] is True
    assert dcs.patches == [{"postgresql": {"parameters": {"max_wal_senders": 60}}}]


@pytest.mark.parametrize("test", [True, False])
def test_others_and_machines_without_a_cluster_do_nothing(dcs, member, test):
    declare(member, max_wal_senders=60)
    member.opts["test"] = test
    dcs.leads = False
    assert dcs.state("x")["changes"] == {}
    dcs.down = True
    assert dcs.state("x")["result"] is True
    assert dcs.patches == []


def test_patroni_shows_a_change_a_moment_later(dcs, member):
    declare(member, max_wal_senders=60)
    dcs.pending = ("max_wal_senders",)
    stale = [live(member.pillar["pigsty"]["pgsql"])] * 3
    stale = [
        merged(shown, {"postgresql": {"parameters": {"max_wal_senders": 50}}}) for shown in stale
    ]
    fresh = dcs.config
    dcs.config = lambda: stale.pop() if stale else fresh()
    result = dcs.state("x")
    assert result["result"] is True and len(dcs.patches) == 1 and not stale


def say(dcs, *libraries, **others):
    """Every declared member says which libraries it can load; some say something else."""
    names = [f"pg-test-{number}" for number in (1, 2, 3, 4)]
    dcs.tags = {name: {"libraries": ",".join(libraries)} for name in names}
    for name, said in others.items():
        dcs.tags[name.replace("_", "-")] = {"libraries": said}


LIBRARIES = f"{SETTINGS}shared_preload_libraries"


def load(member, text):
    member.pillar["pigsty"]["pgsql"]["params"]["pg_libs"] = text


def test_libraries_that_all_members_have_reach_the_dcs(dcs, member):
    load(member, "pg_cron, auto_explain")
    say(dcs, "pg_cron", "auto_explain")
    dcs.pending = ("shared_preload_libraries",)
    result = dcs.state("x")
    assert result["result"] is True
    assert result["changes"][LIBRARIES]["new"] == "pg_cron, auto_explain"
    assert dcs.state("x")["changes"] == {}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("test", [True, False])
def test_a_library_that_one_member_lacks_never_reaches_the_dcs(dcs, member, test):
    load(member, "pg_cron, auto_explain")
    declare(member, max_wal_senders=60)
    say(dcs, "pg_cron", "auto_explain", pg_test_3="-pg_cron,auto_explain")
    dcs.pending = ("max_wal_senders",)
    member.opts["test"] = test
    result = dcs.state("x")
    assert result["result"] is False
    assert "pg-test-3 can't load pg_cron" in result["comment"]
    # The other change is made all the same, and the second run has nothing to change.
    assert LIBRARIES not in result["changes"]
    assert f"{SETTINGS}max_wal_senders" in result["changes"]
    assert not any("shared_preload" in str(body) for body in dcs.patches)
    if not test:
        assert dcs.state("x")["changes"] == {}


@pytest.mark.usefixtures("impatient")
def test_a_member_that_is_down_or_was_not_applied_forbids_a_new_library(dcs, member):
    load(member, "pg_cron, auto_explain")
    say(dcs, "pg_cron", "auto_explain", pg_test_3="auto_explain,pg_stat_statements")
    del dcs.tags["pg-test-4"]
    result = dcs.state("x")
    assert result["result"] is False and not any("shared" in str(body) for body in dcs.patches)
    assert "pg-test-3, pg-test-4 haven't been applied" in result["comment"]


@pytest.mark.parametrize("before", [["auto_explain"], ["auto_explain", "-pg_cron"]])
def test_members_that_are_applied_at_the_same_time_are_waited_for(dcs, member, before):
    load(member, "pg_cron, auto_explain")
    dcs.pending = ("shared_preload_libraries",)
    looks = []
    fresh = dcs.cluster

    def later():
        looks.append(1)
        say(dcs, *before)
        if len(looks) > 3:
            say(dcs, "auto_explain", "pg_cron")
        return fresh()

    dcs.cluster = later
    assert dcs.state("x")["result"] is True and len(looks) > 3
    assert dcs.present["postgresql"]["parameters"]["shared_preload_libraries"].startswith("pg_cron")


@pytest.mark.usefixtures("impatient")
def test_a_trial_run_takes_for_granted_what_would_be_installed_first(dcs, member):
    load(member, "pg_cron, auto_explain")
    say(dcs, "auto_explain", "pg_stat_statements")
    dcs.complaints = {"shared_preload_libraries": "not installed here: pg_cron"}
    member.opts["test"] = True
    trial = dcs.state("x")
    assert trial["result"] is None and trial["changes"][LIBRARIES]["new"].startswith("pg_cron")
    # A real run comes after the packages: what is missing then is missing.
    member.opts["test"] = False
    result = dcs.state("x")
    assert result["result"] is False and "not installed here: pg_cron" in result["comment"]
    assert not any("shared" in str(body) for body in dcs.patches)


@pytest.mark.usefixtures("impatient")
def test_a_value_that_postgresql_refuses_is_left_out_and_told(dcs, member):
    declare(member, max_wal_senders="many", max_replication_slots=60)
    dcs.complaints = {"max_wal_senders": 'invalid value for parameter "max_wal_senders": "many"'}
    result = dcs.state("x")
    assert result["result"] is False and 'max_wal_senders": "many"' in result["comment"]
    assert dcs.patches == [{"postgresql": {"parameters": {"max_replication_slots": 60}}}]
    assert dcs.state("x")["changes"] == {}


@pytest.mark.usefixtures("impatient")
def test_a_lead_that_goes_elsewhere_between_look_and_change_harms_nothing(dcs, member):
    declare(member, max_wal_senders=60)
    write = dcs.patch_config

    def patch(body):
        dcs.leads = False
        write(body)

    dcs.patch_config = patch
    result = dcs.state("x")
    # Written against the version that was read, and read back although another one leads by now.
    assert result["result"] is True
    assert dcs.present["postgresql"]["parameters"]["max_wal_senders"] == 60


@pytest.mark.usefixtures("impatient")
def test_a_change_that_does_not_stick_is_a_failure(dcs, member):
    declare(member, max_wal_senders=60)
    dcs.patch_config = dcs.patches.append
    result = dcs.state("x")
    assert result["result"] is False and "still differs in postgresql" in result["comment"]


@pytest.mark.parametrize("test", [True, False])
def test_right_after_a_bootstrap_patroni_shows_no_configuration_yet(dcs, member, test):
    member.opts["test"] = test
    fresh, answers = dcs.config, [ClientError("502")] * 3

    def late():
        if answers:
            raise answers.pop()
        return fresh()

    dcs.config = late
    result = dcs.state("x")
    assert result["result"] is True and result["changes"] == {} and not answers


@pytest.mark.usefixtures("impatient")
def test_a_configuration_that_never_shows_is_a_failure(dcs):
    def never():
        raise ClientError("502 nothing")

    dcs.config = never
    result = dcs.state("x")
    assert result["result"] is False and "502 nothing" in result["comment"]


@pytest.mark.parametrize("test", [True, False])
def test_a_promoted_cluster_is_a_warning_of_its_leader(dcs, member, test):
    member.opts["test"] = test
    member.pillar["pigsty"]["pgsql"]["patroni"]["standby_of"] = {"host": "10.1.1.10", "port": 5432}
    result = dcs.state("x")
    assert result["changes"] == {} and dcs.patches == [] and result["result"] is True
    assert len(result["warnings"]) == 1 and "takes writes of its own" in result["warnings"][0]


def test_nothing_is_said_of_a_cluster_that_is_as_declared(dcs):
    assert "warnings" not in dcs.state("x")


@pytest.mark.usefixtures("impatient")
def test_a_setting_that_is_put_back_needs_no_restart(dcs, member):
    declare(member, max_wal_senders=60)
    assert dcs.state("x")["comment"] == "The DCS was changed"


def test_a_refusal_of_patroni_is_a_failure(dcs, member):
    declare(member, max_wal_senders=60)

    def refuse(_body):
        raise ClientError("401 no auth header received")

    dcs.patch_config = refuse
    assert "401" in dcs.state("x")["comment"]


def test_the_errors_of_salt_are_told(dcs, member):
    def broken():
        raise CommandExecutionError("no machine")

    member.salt["pigsty_patroni.machine"] = broken
    assert dcs.state("x")["result"] is False
