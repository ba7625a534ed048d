"""Extensions of a cluster: what is declared, there, created and loaded, and what is to be done."""

from __future__ import annotations

import pytest

from pigsty import extensions


def wanted(name, **more):
    return {"name": name, "version": "", "schema": "", "absent": False, "default": False, **more}


def look(*declared, **more):
    base = {
        "declared": {"app": list(declared)},
        "created": {"app": {"plpgsql": "1.0"}},
        "available": {},
        "wanted": [],
        "lacking": [],
        "missing": [],
        "loaded": [],
        "pending": False,
    }
    return {**base, **more}


def only(looks, extension="x", member="a", leader="a"):
    found = [r for r in extensions.rows(looks, leader) if r.extension == extension]
    return next(row for row in found if row.member == member)


@pytest.mark.parametrize(
    ("entry", "state", "todo"),
    [
        (wanted("x"), {}, "install its package"),
        (wanted("x"), {"available": {"x": "1.1"}}, "create"),
        (wanted("x"), {"available": {"x": "1.1"}, "created": {"app": {"x": "1.1"}}}, ""),
        (
            wanted("x"),
            {"available": {"x": "1.1"}, "created": {"app": {"x": "1.0"}}},
            "update to 1.1 (--update)",
        ),
        (
            wanted("x", version="1.0"),
            {"available": {"x": "1.1"}, "created": {"app": {"x": "1.0"}}},
            "",
        ),
        (
            wanted("x", version="1.1"),
            {"available": {"x": "1.2"}, "created": {"app": {"x": "1.0"}}},
            "update to 1.1",
        ),
        (wanted("x", absent=True), {"created": {"app": {"x": "1.0"}}}, "drop"),
        (wanted("x", absent=True), {}, ""),
        (wanted("x", default=True), {}, ""),
        (wanted("x"), {"available": {"x": "1"}, "wanted": ["x"]}, "load its library"),
        (wanted("x"), {"available": {"x": "1"}, "wanted": ["x"], "pending": True}, "restart"),
        (wanted("x"), {"available": {"x": "1"}, "wanted": ["x"], "loaded": ["x"]}, "create"),
    ],
)
def test_what_is_to_be_done(entry, state, todo):
    assert only({"a": look(entry, **state)}).todo == todo


def test_the_library_may_have_another_name():
    state = {"available": {"pg_partman": "5"}, "wanted": ["pg_partman_bgw"]}
    looks = {"a": look(wanted("pg_partman"), **state)}
    row = only(looks, "pg_partman")
    assert (row.loaded, row.todo) == ("no", "load its library")
    # It is shown once, with the extension.
    assert [r.extension for r in extensions.rows(looks, "a")] == ["pg_partman", "plpgsql"]


def test_a_library_that_is_no_extension_of_a_database_is_shown_for_itself():
    looks = {
        "a": look(wanted=["auto_explain"], loaded=["auto_explain"]),
        "b": look(wanted=["auto_explain"], lacking=["auto_explain"]),
    }
    assert only(looks, "auto_explain", "a").todo == ""
    row = only(looks, "auto_explain", "b")
    assert (row.database, row.package, row.todo) == ("*", False, "install its package")


def test_what_a_database_holds_is_read_on_the_leader():
    looks = {
        "a": look(wanted("x"), available={"x": "1"}),
        "b": look(wanted("x"), available={"x": "1"}, created={"app": {"x": "1"}}),
    }
    assert only(looks, member="a", leader="b").created == "1"
    assert only(looks, member="b", leader="a").created == ""


def test_a_member_that_lacks_the_package_has_a_row_of_its_own():
    looks = {name: look(wanted("x"), available={"x": "1"}) for name in "abc"}
    agreed = extensions.folded(extensions.interesting(extensions.rows(looks, "a")))
    assert [(row["member"], row["todo"]) for row in agreed] == [("all", "create")]
    looks["b"] = look(wanted("x"))
    found = extensions.folded(extensions.interesting(extensions.rows(looks, "a")))
    assert {(row["member"], row["todo"]) for row in found} == {
        ("a, c", "create"),
        ("b", "install its package"),
    }


def test_the_usual_ones_are_left_out_unless_they_are_asked_for():
    state = {"available": {"x": "1"}, "created": {"app": {"x": "1", "plpgsql": "1.0"}}}
    rows = extensions.rows({"a": look(wanted("x", default=True), **state)}, "a")
    assert extensions.interesting(rows) == []
    assert [r.extension for r in extensions.interesting(rows, ["plpgsql"])] == ["plpgsql"]


def test_who_would_not_start_again():
    looks = {"a": look(), "b": look(missing=["pg_cron", "x"])}
    assert extensions.unable(looks, ["a", "b", "silent"]) == {"b": "pg_cron, x"}


def test_nobody_answers():
    assert extensions.rows({}, "") == []
