"""Data on standard output: aligned tables, JSON and YAML."""

from __future__ import annotations

import json

import pytest
import yaml

from pigsty_cli.output import emit, to_yaml

ROWS = [
    {"host": "10.10.10.10", "ok": True, "roles": ["a", "b"], "lag": None},
    {"host": "10.10.10.100", "ok": False, "roles": [], "lag": 12},
]


def test_a_table_is_aligned_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, columns={"host": "HOST", "ok": "OK", "roles": "ROLES", "lag": "LAG"})
    assert capsys.readouterr().out.splitlines() == [
        "HOST          OK   ROLES  LAG",
        "10.10.10.10   yes  a, b",
        "10.10.10.100  no          12",
    ]


def test_a_mapping_becomes_names_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"port": 5432, "nested": {"a": 1}})
    assert capsys.readouterr().out.splitlines() == [
        "NAME    VALUE",
        "port    5432",
        'nested  {"a": 1}',
    ]


def test_a_long_text_keeps_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    emit([{"text": "one\ntwo\nthree"}])
    assert capsys.readouterr().out.splitlines()[1] == "one … (3 lines)"


def test_no_rows_are_a_heading_alone(capsys: pytest.CaptureFixture[str]) -> None:
    emit([], columns=("a", "b"))
    assert capsys.readouterr().out == "A  B\n"


@pytest.mark.parametrize("fmt", ["json", "yaml"])
def test_json_and_yaml_carry_the_data(capsys: pytest.CaptureFixture[str], fmt: str) -> None:
    emit(ROWS, fmt)
    out = capsys.readouterr().out
    assert (json.loads(out) if fmt == "json" else yaml.safe_load(out)) == ROWS


def test_yaml_knows_tuples_and_keeps_the_order_of_keys() -> None:
    assert to_yaml({"b": (1, 2), "a": "ü"}) == "b:\n- 1\n- 2\na: ü\n"
