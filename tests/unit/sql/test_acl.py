"""Access privileges in text form."""

from __future__ import annotations

import pytest

from pigsty.sql import acl


@pytest.mark.parametrize(
    ("text", "grants"),
    [
        (None, []),
        ("{}", []),
        ("{=U/postgres}", [("public", "USAGE")]),
        ("{a=UC/o,b=r*w/o}", [("a", "USAGE"), ("a", "CREATE"), ("b", "SELECT"), ("b", "UPDATE")]),
        ("{a=rawdDxtm/o}", [("a", acl._LETTERS[letter]) for letter in "rawdDxtm"]),
        ("{a=/o}", []),
        ("{a=r?/o}", [("a", "SELECT")]),
        # A role named with special characters is quoted twice: as an item, and as an element.
        (r'{"\"my role\"=U/o"}', [("my role", "USAGE")]),
        (r'{"\"a,b\"=U/o",c=C/o}', [("a,b", "USAGE"), ("c", "CREATE")]),
        (r'{"\"a=b\"=U/\"o o\""}', [("a=b", "USAGE")]),
        (r'{"\"a\"\"b\"=U/o"}', [('a"b', "USAGE")]),
        (r'{"\"a\\b\"=U/o"}', [("a\\b", "USAGE")]),
        ("{-=U/o}", [("-", "USAGE")]),
    ],
)
def test_grants(text, grants):
    assert list(acl.grants(text)) == grants
