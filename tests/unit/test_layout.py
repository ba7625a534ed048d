"""Traps of the layout that break everything when somebody steps into them."""

from __future__ import annotations

import ast
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


def test_no_two_modules_import_each_other() -> None:
    """A circle hides behind an import in a function until somebody moves that line."""
    imports = {module: _imports(file) for module, file in _modules().items()}
    pairs = {(a, b) for a, found in imports.items() for b in found if a in imports.get(b, ())}
    # A package and its parts are one: the parts name it to import each other.
    assert [pair for pair in pairs if not _nested(*pair) and not _nested(*reversed(pair))] == []


def _nested(part: str, package: str) -> bool:
    return f"{part}.".startswith(f"{package}.")


def _modules() -> dict[str, Path]:
    found = {}
    for root in (ROOT / "extmods/pigsty", ROOT / "pigsty_cli"):
        for file in root.rglob("*.py"):
            parts = file.relative_to(root.parent).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


def _imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names
