"""Traps of the layout that break everything when somebody steps into them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_folder_salt_is_no_package() -> None:
    """With an ``__init__.py`` it would hide the installed Salt from everything run in the root."""
    assert (ROOT / "salt").is_dir()
    assert not list((ROOT / "salt").rglob("*.py"))


def test_loader_files_do_not_hide_the_core_package() -> None:
    """While Salt loads a file, its folder is on Python's path: `pigsty.py` would be found there."""
    for folder in (ROOT / "extmods").glob("_*"):
        assert not (folder / "pigsty.py").exists(), folder


def test_the_core_imports_no_salt() -> None:
    """It runs on the command line, in the master and on minions alike."""
    for file in (ROOT / "extmods/pigsty").rglob("*.py"):
        for line in file.read_text("utf-8").splitlines():
            assert not line.strip().startswith(("import salt", "from salt")), f"{file}: {line}"
