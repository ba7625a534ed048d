"""Bad inventories: each says in its own lines what `validate` must say about them.

A case is a text below ``=== name``. It is a whole inventory when it begins with ``all:`` (or with
what is no inventory at all), else the groups of one, or, below ``[vars]``, its global variables.
A comment ``#! text @ path`` expects an error in that line with the text in its message, ``#?`` a
warning. There must be no other errors.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

from pigsty.validate import validate

CORPUS = Path(__file__).parent / "corpus"
BASE = """\
all:
  vars:
    admin_ip: 10.10.10.10
{vars}
  children:
    infra: {{ hosts: {{ 10.10.10.10: {{ infra_seq: 1 }} }} }}
    etcd: {{ hosts: {{ 10.10.10.10: {{ etcd_seq: 1 }} }} }}
{children}
"""
#: Cases that are no inventory, or a whole one, and stand in the file as they are.
WHOLE = re.compile(r"(all:|children:|- |hello)")
MARK = re.compile(r"#([!?]) ([^#]+)")


def cases() -> list[object]:
    """Return every case of the corpus as a parameter."""
    found = []
    for file in sorted(CORPUS.glob("*.txt")):
        for part in file.read_text("utf-8").split("=== ")[1:]:
            name, _, text = part.partition("\n")
            found.append(pytest.param(text, id=f"{file.stem}: {name}"))
    return found


def inventory(text: str) -> str:
    """Return the whole inventory of a case."""
    if WHOLE.match(text):
        return text
    if text.startswith("[vars]\n"):
        body = text.removeprefix("[vars]\n")
        profile = "" if "pigsty_profile" in body else "    pigsty_profile: sandbox\n"
        return BASE.format(vars=profile + indent(body, "    "), children="")
    return BASE.format(vars="    pigsty_profile: sandbox", children=indent(text, "    "))


def expected(text: str, sign: str) -> list[tuple[int, str, str]]:
    """Return (line, part of the message, path) of every mark of a kind."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        for kind, mark in MARK.findall(line):
            if kind == sign:
                message, _, path = mark.strip().partition(" @ ")
                found.append((number, message, path))
    return found


@pytest.mark.parametrize("text", cases())
def test_every_case_is_reported_where_it_stands(text: str, tmp_path: Path) -> None:
    file = tmp_path / "pigsty.yml"
    whole = inventory(text)
    file.write_text(whole, "utf-8")
    findings = validate(file)
    said = "\n".join(f"{f.severity} {f.line} {f.path}: {f.message}" for f in findings)
    errors = [f for f in findings if f.severity == "error"]
    warnings = [f for f in findings if f.severity == "warning"]
    marks = expected(whole, "!")
    for found, wanted in ((errors, marks), (warnings, expected(whole, "?"))):
        for line, message, path in wanted:
            assert any(f.line == line and message in f.message and path in f.path for f in found), (
                f"line {line}: {message!r} is missing among\n{said}\n{whole}"
            )
    for finding in errors:
        assert any(
            finding.line == line and message in finding.message for line, message, _ in marks
        ), f"unexpected: {finding}\n{whole}"


def test_the_corpus_is_large() -> None:
    assert len(cases()) >= 60
