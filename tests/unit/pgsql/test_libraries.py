"""Libraries that PostgreSQL loads at its start: names, order, and who has them."""

from __future__ import annotations

import itertools

import pytest

from pigsty.render import libraries


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("pg_stat_statements, auto_explain", ["pg_stat_statements", "auto_explain"]),
        ("", []),
        (None, []),
        (" a ,, a, 'b' ", ["a", "b"]),
        # What replaces the planner comes first, wherever it was written.
        (
            "auto_explain, timescaledb, citus, pg_cron",
            ["citus", "timescaledb", "auto_explain", "pg_cron"],
        ),
        # The extension's name is not the library's.
        ("pg_partman", ["pg_partman_bgw"]),
        ("pldebugger, pg_safeupdate", ["plugin_debugger", "safeupdate"]),
        ("documentdb, pg_cron", ["pg_documentdb_core", "pg_cron", "pg_documentdb"]),
        # A library comes behind what it builds upon.
        (
            "pg_stat_kcache, auto_explain, pg_stat_statements",
            ["pg_stat_statements", "pg_stat_kcache", "auto_explain"],
        ),
        ("pgauditlogtofile, pgaudit", ["pgaudit", "pgauditlogtofile"]),
        ("pgauditlogtofile", ["pgauditlogtofile"]),
        ("$libdir/mine", ["$libdir/mine"]),
    ],
)
def test_names_and_order(declared, expected):
    assert libraries.effective({"pg_libs": declared, "pg_parameters": {}}) == expected


def test_the_setting_among_the_parameters_takes_the_place_of_pg_libs():
    own = {"shared_preload_libraries": "pg_cron, citus"}
    found = libraries.effective({"pg_libs": "auto_explain", "pg_parameters": own})
    assert found == ["citus", "pg_cron"]
    own = {"shared_preload_libraries": ""}
    assert libraries.effective({"pg_libs": "auto_explain", "pg_parameters": own}) == []


def test_every_order_of_writing_gives_an_order_that_loads():
    names = ["powa", "pg_qualstats", "citus", "pg_stat_statements", "x"]
    for written in itertools.permutations(names):
        found = libraries.ordered(written)
        assert sorted(found) == sorted(names) and found[0] == "citus"
        assert found.index("pg_stat_statements") < found.index("pg_qualstats") < found.index("powa")
        assert libraries.ordered(found) == found


def test_who_lacks_what():
    said = libraries.tag(["a", "b"], ["b"])
    assert said == "a,-b"
    tags = {
        "one": {"libraries": "a,b"},
        "two": {"libraries": said, "nofailover": False},
        "three": {"libraries": "a"},
        "four": {},
    }
    names = ["one", "two", "three", "four", "five"]
    assert libraries.lacking(["a", "b"], names, tags) == (
        {"two": ["b"]},
        ["three", "four", "five"],
    )
    assert libraries.lacking(["a"], names[:3], tags) == ({}, [])
    # A name that is part of another one is not that one.
    assert libraries.lacking(["aa"], ["one"], tags) == ({}, ["one"])


def test_a_list_of_nothing_asks_nobody():
    assert libraries.lacking([], ["one"], {"one": {"libraries": "a"}}) == ({}, [])
    assert libraries.lacking([], ["one"], {}) == ({}, [])


def test_the_refusal_names_everybody():
    said = libraries.refusal({"two": ["b"]}, ["three"])
    assert "two can't load b" in said and "three hasn't been applied" in said


def test_the_pillar_has_one_place_for_libraries(pillar):
    own = {"shared_preload_libraries": "auto_explain, citus", "work_mem": "9MB"}
    params = pillar(pg_parameters=own)["params"]
    assert params["pg_libs"] == "citus, auto_explain"
    assert params["pg_parameters"] == {"work_mem": "9MB"}
