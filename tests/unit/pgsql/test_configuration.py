"""Settings of a cluster: declared, in the DCS and in force, and whose value wins."""

from __future__ import annotations

from pigsty import configuration


def setting(value, source="configuration file", file="/d/postgresql.conf", pending=False):
    return {"value": value, "source": source, "file": file, "pending": pending}


def look(**more):
    base = {"declared": {}, "origin": {}, "dcs": {}, "changes": {}, "settings": {}}
    return {**base, "altered": {}, "errors": {}, **more}


def only(looks, name="work_mem", leader="a"):
    return next(row for row in configuration.rows(looks, leader) if row.name == name)


DECLARED = {"declared": {"work_mem": "9MB"}, "origin": {"work_mem": "pg_parameters"}}


def test_a_declared_setting_that_is_in_force():
    row = only({"a": look(**DECLARED, settings={"work_mem": setting("9MB")})})
    assert (row.declared, row.origin, row.dcs) == ("9MB", "pg_parameters", None)
    assert (row.runs, row.source) == ({"a": "9MB"}, {"a": "patroni"})
    assert row.notes == () and row.pending == ()


def test_alter_system_is_named_where_it_wins():
    auto = setting("1MB", file="/d/postgresql.auto.conf")
    looks = {
        "a": look(**DECLARED, settings={"work_mem": setting("9MB")}),
        "b": look(**DECLARED, settings={"work_mem": auto}, altered={"work_mem": "1MB"}),
    }
    row = only(looks)
    assert row.source == {"a": "patroni", "b": "ALTER SYSTEM"}
    assert row.notes == ("ALTER SYSTEM (1MB) on b wins over what is declared",)
    (shown,) = configuration.table([row])
    assert shown["runs"] == "9MB (a), 1MB (b)"


def test_alter_system_of_something_that_nobody_declares():
    auto = setting("off", file="/d/postgresql.auto.conf")
    row = only({"a": look(settings={"jit": auto}, altered={"jit": "off"})}, "jit")
    assert row.declared is None and "nobody's but ALTER SYSTEM's" in row.notes[0]


def test_what_the_dcs_has_and_the_inventory_does_not():
    row = only({"a": look(dcs={"jit": "off"}, settings={"jit": setting("off")})}, "jit")
    assert row.notes == ("in the DCS, and not ours: left alone",)


def test_what_an_apply_would_change():
    change = {"work_mem": {"old": "1MB", "new": "9MB"}}
    row = only({"a": look(**DECLARED, changes=change)})
    assert row.notes == ("an apply would change the DCS: 1MB → 9MB",)


def test_a_line_that_postgresql_refused_and_a_restart_that_is_due():
    looks = {
        "a": look(**DECLARED, settings={"work_mem": setting("4MB", pending=True)}),
        "b": look(**DECLARED, errors={"work_mem": "invalid value"}),
    }
    row = only(looks)
    assert row.pending == ("a",) and row.notes == ("b: invalid value",)


def test_what_is_simply_the_presets_is_left_out():
    by = {"work_mem": "oltp.yml", "jit": "pg_parameters", "shared_preload_libraries": "pg_libs"}
    declared = {"work_mem": "9MB", "jit": "off", "shared_preload_libraries": "x"}
    rows = configuration.rows({"a": look(declared=declared, origin=by)}, "a")
    names = [row.name for row in configuration.interesting(rows)]
    assert names == ["jit", "shared_preload_libraries"]
    assert [row.name for row in configuration.interesting(rows, ["work_mem"])] == ["work_mem"]


def test_other_sources_have_words_of_their_own():
    found = look(settings={"max_connections": setting("9", "command line", None)})
    found["declared"] = {"max_connections": 9}
    assert only({"a": found}, "max_connections").source == {"a": "patroni (all members alike)"}
    assert configuration.table(configuration.rows({"a": found}, "a"))[0]["declared"] == "9"


def test_without_a_leader_somebody_elses_look_serves():
    row = only({"b": look(**DECLARED)}, leader="")
    assert row.declared == "9MB" and row.runs == {}
