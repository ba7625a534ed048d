"""What a template made becomes what the catalogue declares."""

from __future__ import annotations

from typing import Any

import pytest

from pigsty import catalogue
from pigsty.types import coerce

CATALOGUE = catalogue.load()


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [
        ("16", "int", 16),
        (16, "int", 16),
        ("016", "port", 16),
        ("0.5", "float", 0.5),
        (1, "float", 1),
        ("yes", "bool", True),
        (False, "bool", False),
        (1, "bool", 1),
        (3.1, "string", "3.1"),
        (True, "string", "true"),
        (12, "password", "12"),
        ("", "string", ""),
        ("null", "string", "null"),
        (None, "int", None),
        ("64", "setting", 64),
        ("064", "setting", "064"),
        (True, "setting", "true"),
        (True, "int", True),
        # nothing is declared: it stays what the template made
        ("yes", "any", "yes"),
        ("12", "any", "12"),
        ({"a": ["no"]}, "dict", {"a": ["no"]}),
        # containers
        ([1, "2"], "string[]", ["1", "2"]),
        (["22", 80], "port[]", [22, 80]),
        ("a b", "string[]", "a b"),
        ({"a": 1}, "strings", {"a": "1"}),
        ({1: True}, "settings", {"1": "true"}),
        ([{"name": 5, "login": "no", "own": "yes"}], "user[]",
         [{"name": "5", "login": False, "own": "yes"}]),
        ({"m": {"path": 5}}, "settings_map", {"m": {"path": 5}}),
        ({"x": ["5", "1s"]}, "setting[]_map", {"x": [5, "1s"]}),
    ],
)  # fmt: skip
def test_coerce(value: Any, kind: str, result: Any) -> None:
    found = coerce(value, kind, CATALOGUE)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("value", "result"), [(False, "off"), ("no", "off"), (True, "true"), ("Required", "required")]
)
def test_choices(value: Any, result: str) -> None:
    choices = CATALOGUE["patroni_watchdog_mode"].choices
    assert coerce(value, "enum", CATALOGUE, choices) == result


def test_an_enum_of_numbers() -> None:
    assert coerce("16", "enum", CATALOGUE, (16, 17)) == 16
