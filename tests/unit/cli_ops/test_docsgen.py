"""The generated pages are what their sources say, and the tree holds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pigsty import catalogue
from pigsty_cli import docsgen, exitcodes
from pigsty_cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[3]


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| `")]


def test_every_parameter_has_its_row_with_five_cells() -> None:
    known = catalogue.load()
    page, _, objects = docsgen.parameters(known).partition("\n## Objects")
    assert [line.split("`")[1] for line in rows(page)] == [
        parameter.name
        for module in catalogue.MODULES
        for parameter in known.parameters
        if parameter.module.lower() == module
    ]
    for line in rows(page):
        assert line.replace("\\|", "").count("|") == 6, line
    assert len(rows(objects)) == sum(len(fields) for fields in known.objects.values())


def test_no_default_of_a_secret_is_printed() -> None:
    known = catalogue.load()
    secrets = {parameter.name for parameter in known.parameters if parameter.secret}
    page, _, _ = docsgen.parameters(known).partition("\n## Objects")
    shown = {line.split("`")[1]: line.split(" | ")[3] for line in rows(page)}
    assert secrets
    assert {shown[name] for name in secrets} <= {"*random*", "*required*", "", '`""`', "`{}`"}


def test_every_command_and_exit_code_is_there() -> None:
    page = docsgen.commands()
    for name in COMMANDS:
        assert f"\n## pigsty {name}\n" in page
    assert "\n### pigsty pgsql list\n" in page
    for code, meaning in exitcodes.TABLE.items():
        assert f"| {code} | {meaning} |" in page


def test_a_page_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    narrow = docsgen.commands()
    monkeypatch.setenv("COLUMNS", "200")
    assert docsgen.commands() == narrow


def test_check_tells_stale_pages_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docsgen, "DOCS", tmp_path)
    assert docsgen.main(["--check"]) == exitcodes.FAILED
    assert "cli.md" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert docsgen.main([]) == exitcodes.OK
    assert docsgen.main(["--check"]) == exitcodes.OK


def test_the_pages_in_the_tree_are_those_of_the_sources() -> None:
    stale = [
        name
        for name, make in docsgen.PAGES.items()
        if (ROOT / "docs" / name).read_text(encoding="utf-8") != make()
    ]
    assert not stale, "run `make docs`"
