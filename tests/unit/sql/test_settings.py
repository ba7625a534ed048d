"""Values of parameters: lists and texts."""

from __future__ import annotations

import pytest

from pigsty.sql import settings


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("public", ["public"]),
        ("a, b", ["a", "b"]),
        ("a,b,  c ", ["a", "b", "c"]),
        ('"$user", public', ["$user", "public"]),
        ("'$user',public", ["$user", "public"]),
        ("Sales", ["sales"]),
        ('"Sales"', ["Sales"]),
        ('"a,b"', ["a,b"]),
        ('"a""b"', ['a"b']),
        ("'it''s'", ["it's"]),
        ('" a "', [" a "]),
        ('"a" , b', ["a", "b"]),
        ("$libdir/x", ["$libdir/x"]),
        ("", []),
        ('""', []),
        (" , ", []),
    ],
)
def test_elements(value, names):
    assert settings.elements(value) == names


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        ("search_path", "a,b", "a, b", True),
        ("search_path", '"a", b', "a, b", True),
        ("Search_Path", "A", "a", True),
        ("search_path", "a, b", '"a, b"', False),
        ("search_path", "b, a", "a, b", False),
        ("work_mem", "64MB", "64MB", True),
        ("work_mem", "64MB", "64 MB", False),
        ("application_name", "A", "a", False),
    ],
)
def test_same(name, one, other, same):
    assert settings.same(name, one, other) is same
