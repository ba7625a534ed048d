"""Patroni's dynamic configuration: what is changed in the DCS, by whom, and what is left alone."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError

from pigsty import deadlines
from pigsty.errors import ClientError
from pigsty.render import dynamic
from pigsty.render import patroni as config
from pigsty.render.tuning import GIB, TEMPLATES, Machine

MACHINE = Machine(4, 16384, 100 * GIB)
LARGER = Machine(16, 65536, 1000 * GIB)
SETTINGS = dynamic.SETTINGS


def live(spec, machine=MACHINE):
    """The DCS as that member bootstrapped it."""
    return copy.deepcopy(config.dynamic(spec, machine))


def paths(found):
    return {path: (change["old"], change["new"]) for path, change in found.items()}


def merged(present, body):
    """What Patroni makes of a PATCH."""
    found = dict(present)
    for key, value in body.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            found[key] = merged(found.get(key) or {}, value)
        else:
            found[key] = value
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pg_conf": "olap.yml"},
        {"pg_conf": "crit.yml"},
        {"pg_rpo": 0},
        {"patroni_mode": "pause"},
    ],
)
def test_a_cluster_that_was_just_made_needs_nothing(pillar, changes):
    spec = pillar(**changes)
    assert dynamic.changes(spec, MACHINE, live(spec)) == {}


def test_an_edited_inventory_changes_exactly_what_was_edited(pillar):
    spec = pillar(pg_rto="fast", pg_parameters={"max_connections": 300, "work_mem": "9MB"})
    # work_mem is a member's own matter: it stands in its patroni.yml.
    assert paths(dynamic.changes(spec, MACHINE, live(pillar()))) == {
        "ttl": (30, 20),
        "retry_timeout": (10, 5),
        "primary_start_timeout": (25, 15),
        f"{SETTINGS}max_connections": (500, 300),
    }


def test_a_parameter_that_is_not_declared_any_more_goes_back_or_away(pillar):
    before = live(pillar(pg_parameters={"max_connections": 300, "wal_keep_size": "1GB"}))
    assert paths(dynamic.changes(pillar(), MACHINE, before)) == {
        f"{SETTINGS}max_connections": (300, 500),
        f"{SETTINGS}wal_keep_size": ("1GB", None),
    }


def test_another_template_takes_its_own_settings_along(pillar):
    before = live(pillar(pg_conf="oltp.yml"))
    found = paths(dynamic.changes(pillar(pg_conf="olap.yml"), MACHINE, before))
    assert found[f"{SETTINGS}parallel_setup_cost"] == (2000, None)
    assert found[f"{SETTINGS}enable_partitionwise_join"] == (None, "on")
    spec = pillar(pg_conf="olap.yml")
    after = merged(before, dynamic.patch(dynamic.changes(spec, MACHINE, before)))
    assert after == live(spec)


@pytest.mark.parametrize("one", TEMPLATES)
@pytest.mark.parametrize("other", TEMPLATES)
def test_one_change_is_enough_between_any_two_templates(pillar, one, other):
    spec = pillar(pg_conf=other)
    before = live(pillar(pg_conf=one))
    after = merged(before, dynamic.patch(dynamic.changes(spec, MACHINE, before)))
    assert dynamic.changes(spec, MACHINE, after) == {}
    assert after == live(spec)


def test_what_is_not_ours_stays(pillar):
    spec = pillar()
    strange = live(spec) | {"pause": True, "slots": {"x": {"type": "physical"}}, "my_key": 1}
    strange["standby_cluster"] = {"host": "10.9.9.9"}
    strange["postgresql"]["parameters"] |= {"pg_hint_plan.debug_print": "on", "jit": "off"}
    strange["postgresql"]["pg_hba"] = ["local all all peer"]
    assert dynamic.changes(spec, MACHINE, strange) == {}


def of_standby(pillar, **changes):
    """The pillar of pg-test as the standby cluster of pg-meta, or of another upstream."""
    return pillar(host="10.1.1.11", **{"pg_upstream": "10.1.1.10"} | changes)


def test_a_standby_cluster_follows_whom_the_inventory_says(pillar):
    spec = of_standby(pillar, pg_delay="1h")
    before = live(of_standby(pillar, pg_upstream="10.9.9.9"))
    before["standby_cluster"]["primary_slot_name"] = "somebodys"
    found = dynamic.changes(spec, MACHINE, before)
    assert paths(found) == {
        "standby_cluster.host": ("10.9.9.9", "10.1.1.10"),
        "standby_cluster.recovery_min_apply_delay": (None, "1h"),
    }
    after = merged(before, dynamic.patch(found))
    assert after["standby_cluster"]["primary_slot_name"] == "somebodys"
    assert dynamic.changes(spec, MACHINE, after) == {}
    soon = of_standby(pillar)
    assert paths(dynamic.changes(soon, MACHINE, after)) == {
        "standby_cluster.recovery_min_apply_delay": ("1h", None)
    }


def test_no_apply_promotes_or_demotes_a_cluster(pillar):
    """Neither a line that stays in the inventory nor one that is removed may do it."""
    declared, free = of_standby(pillar), pillar()
    promoted, follows = live(free), live(declared)
    assert dynamic.changes(declared, MACHINE, promoted) == {}
    assert dynamic.changes(free, MACHINE, follows) == {}
    assert "pigsty pgsql demote pg-test" in dynamic.estranged(declared, promoted)
    assert "pigsty pgsql promote pg-test" in dynamic.estranged(free, follows)
    assert dynamic.estranged(declared, follows) == dynamic.estranged(free, promoted) == ""


def test_every_member_knows_whom_its_cluster_follows(pillar):
    """The one that leads after a switchover inside the standby cluster judges by it."""
    changes = {"host": "10.1.1.11", "pg_upstream": "10.1.1.10"}
    one, other = pillar("10.1.1.11", **changes), pillar("10.1.1.12", **changes)
    assert one["patroni"]["standby_of"] == other["patroni"]["standby_of"]
    assert dynamic.estranged(other, live(one)) == ""


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"pg_sync_mode": "on"}, {"synchronous_mode": (False, True)}),
        ({"pg_sync_mode": "quorum"}, {"synchronous_mode": (False, "quorum")}),
        ({"pg_sync_nodes": 2}, {"synchronous_node_count": (1, 2)}),
    ],
)
def test_a_living_cluster_learns_how_many_copies_a_commit_needs(pillar, changes, found):
    spec, before = pillar(**changes), live(pillar())
    change = dynamic.changes(spec, MACHINE, before)
    assert paths(change) == found
    assert dynamic.changes(spec, MACHINE, merged(before, dynamic.patch(change))) == {}


def test_a_key_that_is_missing_counts_as_patronis_default(pillar):
    spec = pillar()
    bare = live(spec)
    for key in ("synchronous_mode", "synchronous_mode_strict", "maximum_lag_on_failover"):
        del bare[key]
    bare["synchronous_mode"] = None
    assert dynamic.changes(spec, MACHINE, bare) == {}
    del bare["failsafe_mode"]
    assert paths(dynamic.changes(spec, MACHINE, bare)) == {"failsafe_mode": (None, True)}


def test_spellings_of_the_same_value_are_no_change(pillar):
    spec = pillar()
    spelled = live(spec)
    spelled["postgresql"]["parameters"] |= {"ssl": True, "max_connections": "500"}
    spelled["failsafe_mode"] = "on"
    assert dynamic.changes(spec, MACHINE, spelled) == {}


def test_an_empty_configuration_is_filled(pillar):
    spec = pillar()
    body = dynamic.patch(dynamic.changes(spec, MACHINE, {}))
    assert body["postgresql"]["parameters"]["auto_explain.log_min_duration"] == "1s"
    assert dynamic.changes(spec, MACHINE, body) == {}


# -- machines of different sizes ----------------------------------------------------------------


def test_a_leader_on_another_machine_does_not_resize_the_cluster(pillar):
    primary, replica = pillar("10.1.1.11"), pillar("10.1.1.12")
    before = live(primary, MACHINE)
    assert dynamic.changes(replica, LARGER, before) == {}
    after = dynamic.changes(primary, LARGER, before)
    assert after[f"{SETTINGS}shared_buffers"] == {"old": "4096MB", "new": "16384MB"}


def test_a_leader_on_another_machine_does_all_the_rest(pillar):
    before = live(pillar())
    edited = pillar("10.1.1.12", pg_rto="fast", pg_parameters={"max_wal_senders": 60})
    found = dynamic.changes(edited, LARGER, before)
    assert {"ttl", f"{SETTINGS}max_wal_senders"} <= set(found)
    assert not any("buffers" in path or "workers" in path for path in found)


def test_a_computed_setting_that_is_declared_is_not_computed(pillar):
    edited = pillar("10.1.1.12", pg_parameters={"max_worker_processes": 40})
    found = dynamic.changes(edited, LARGER, live(pillar()))
    assert found[f"{SETTINGS}max_worker_processes"]["new"] == 40


def test_memory_that_differs_from_boot_to_boot_is_no_change(pillar):
    spec = pillar()
    assert dynamic.changes(spec, Machine(4, 16300, 100 * GIB), live(spec)) == {}
    assert dynamic.changes(spec, Machine(4, 15000, 100 * GIB), live(spec))


def test_computed_settings_are_found_by_computing(pillar):
    names = dynamic.computed(pillar())
    assert {"shared_buffers", "max_worker_processes", "max_wal_size"} <= names
    assert not names & {"max_connections", "wal_level", "ssl"}


# -- what needs a restart -----------------------------------------------------------------------


def test_settings_for_the_next_start_are_told_from_the_others(pillar):
    found = dynamic.changes(
        pillar(pg_parameters={"max_connections": 300}, pg_libs="auto_explain", pg_rto="fast"),
        MACHINE,
        live(pillar()),
    )
    assert {"max_connections", "shared_preload_libraries"} <= set(dynamic.restarts(found))
    assert not set(dynamic.restarts(found)) & {"ttl", "pg_stat_statements.track"}
    assert dynamic.known() | {"cron.database_name"} >= dynamic.NEED_RESTART


# -- the state ----------------------------------------------------------------------------------


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


def test_a_value_that_postgresql_refuses_is_left_out_and_told(dcs, member):
    declare(member, max_wal_senders="many", max_replication_slots=60)
    dcs.complaints = {"max_wal_senders": 'invalid value for parameter "max_wal_senders": "many"'}
    result = dcs.state("x")
    assert result["result"] is False and 'max_wal_senders": "many"' in result["comment"]
    assert dcs.patches == [{"postgresql": {"parameters": {"max_replication_slots": 60}}}]
    assert dcs.state("x")["changes"] == {}


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
