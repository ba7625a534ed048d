"""Which names are refused."""

from __future__ import annotations

import pytest

from pigsty.sql import names


@pytest.mark.parametrize("name", ["app", "App", "a-b", "a.b@c", "ü", "x" * 63, "user name"])
@pytest.mark.parametrize("kind", ["role", "database", "schema"])
def test_accepted(name, kind):
    assert names.why_not(name, kind) == ""


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("", "role", "empty"),
        (" ", "database", "empty"),
        ("a\nb", "role", "control character"),
        ("a\0b", "role", "control character"),
        ('a"b', "database", "quote"),
        ("a'b", "database", "quote"),
        ("a\\b", "role", "backslash"),
        ("x" * 64, "role", "longer than 63"),
        ("ü" * 32, "role", "longer than 63"),
        ("public", "role", "reserved"),
        ("PUBLIC", "role", "reserved"),
        ("none", "role", "reserved"),
        ("pg_app", "role", "pg_"),
        ("pg_app", "schema", "pg_"),
        ("template0", "database", "template0"),
    ],
)
def test_refused(name, kind, reason):
    assert reason in names.why_not(name, kind)


@pytest.mark.parametrize("name", ["work_mem", "app.tenant", "pg_stat_statements.track"])
def test_parameter_accepted(name):
    assert names.bad_parameter(name) == ""


@pytest.mark.parametrize("name", ["", "a b", "a;", "a.", ".a", "a=b", "pigsty.x", "Pigsty.x"])
def test_parameter_refused(name):
    assert names.bad_parameter(name)
