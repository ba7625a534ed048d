"""Patroni's dynamic configuration: what is changed in the DCS, by whom, and what is left alone."""

from __future__ import annotations

import pytest
from dcs import MACHINE, live, merged

from pigsty.render import dynamic
from pigsty.render.tuning import GIB, TEMPLATES, Machine

LARGER = Machine(16, 65536, 1000 * GIB)
SETTINGS = dynamic.SETTINGS


def paths(found):
    return {path: (change["old"], change["new"]) for path, change in found.items()}


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
