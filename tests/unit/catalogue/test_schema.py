"""The JSON Schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pigsty import catalogue
from pigsty.schema import DRAFT, schema

SCHEMA = schema()
PROPERTIES = SCHEMA["$defs"]["vars"]["properties"]


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping within a value."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from parts(item)
    elif isinstance(value, list):
        for item in value:
            yield from parts(item)


def test_it_is_plain_json_and_always_the_same() -> None:
    assert json.dumps(schema(), sort_keys=False) == json.dumps(SCHEMA, sort_keys=False)
    assert SCHEMA["$schema"] == DRAFT


def test_every_reference_leads_somewhere() -> None:
    references = {p["$ref"] for p in parts(SCHEMA) if isinstance(p.get("$ref"), str)}
    assert references
    for reference in references:
        assert reference.startswith("#/$defs/")
        assert reference.removeprefix("#/$defs/") in SCHEMA["$defs"]


def test_every_name_of_the_catalogue_is_there_with_its_meaning() -> None:
    found = catalogue.load()
    assert set(PROPERTIES) == set(found)
    assert all(PROPERTIES[name]["description"].startswith(found[name].meaning) for name in found)


def test_former_names_and_dead_ones_are_deprecated() -> None:
    assert PROPERTIES["pg_fs_bkup"]["deprecated"] is True
    assert PROPERTIES["pg_clean"]["deprecated"] is True
    assert "deprecated" not in PROPERTIES["pg_fs_backup"]


def test_users_databases_services_and_rules_are_typed() -> None:
    for name, kind in (
        ("pg_users", "user"), ("pg_databases", "database"), ("pg_services", "service"),
        ("pg_hba_rules", "hba_rule"), ("haproxy_services", "haproxy_service"),
    ):  # fmt: skip
        references = {p["$ref"] for p in parts(PROPERTIES[name]) if isinstance(p.get("$ref"), str)}
        assert references == {f"#/$defs/object.{kind}"}
    user = SCHEMA["$defs"]["object.user"]
    assert user["required"] == ["name"]
    assert {"type": "boolean"} in user["properties"]["superuser"]["anyOf"]


def test_no_secret_is_a_default() -> None:
    for parameter in catalogue.load().parameters:
        if parameter.secret:
            assert "default" not in PROPERTIES[parameter.name]


def test_a_word_that_yaml_takes_for_a_boolean_is_allowed() -> None:
    choices = PROPERTIES["patroni_watchdog_mode"]["anyOf"][0]["enum"]
    assert {"off", False} <= set(choices)


def test_the_numbers_of_older_releases_are_allowed() -> None:
    assert {"type": "integer"} in PROPERTIES["pg_rto"]["anyOf"][0]["anyOf"]


def test_groups_nest_and_know_their_three_keys() -> None:
    group = SCHEMA["$defs"]["group"]
    assert set(group["properties"]) == {"vars", "hosts", "children"}
    assert group["additionalProperties"] is False
