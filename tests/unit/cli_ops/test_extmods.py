"""Fingerprints of modules: equal exactly when the modules are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pigsty.clients import extmods
from pigsty_cli import applying


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    for name, text in {
        "_modules/a.py": "a = 1",
        "_states/b.py": "b = 1",
        "_pillar/master_only.py": "c = 1",
        "core/__init__.py": "",
        "core/deep/d.py": "d = 1",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "_utils").mkdir()
    (root / "_utils" / "core").symlink_to("../core")
    return root


@pytest.fixture
def synced(repository: Path, tmp_path: Path) -> Path:
    """What Salt makes of it on a minion: other names of the folders, and no links."""
    root = tmp_path / "minion"
    for kind in ("modules", "states", "utils"):
        shutil.copytree(repository / f"_{kind}", root / kind, symlinks=False)
    return root


def test_a_synced_copy_is_the_same(repository: Path, synced: Path) -> None:
    assert extmods.fingerprint(repository, "_") == extmods.fingerprint(synced)


def test_caches_of_python_do_not_count(repository: Path, synced: Path) -> None:
    cache = synced / "utils" / "core" / "__pycache__"
    cache.mkdir()
    (cache / "d.cpython-313.pyc").write_bytes(b"x")
    (synced / "states" / "b.pyc").write_bytes(b"x")
    assert extmods.fingerprint(repository, "_") == extmods.fingerprint(synced)


@pytest.mark.parametrize("name", ["modules/a.py", "utils/core/deep/d.py"])
def test_a_changed_a_missing_and_a_moved_file_show(
    repository: Path, synced: Path, name: str
) -> None:
    known = {extmods.fingerprint(repository, "_")}
    path = synced / name
    path.write_text(path.read_text() + " ")
    known.add(extmods.fingerprint(synced))
    path.rename(path.with_name("other.py"))
    known.add(extmods.fingerprint(synced))
    path.with_name("other.py").unlink()
    known.add(extmods.fingerprint(synced))
    assert len(known) == 4


def test_nothing_synced_is_a_fingerprint_too(repository: Path, tmp_path: Path) -> None:
    assert extmods.fingerprint(tmp_path / "none") != extmods.fingerprint(repository, "_")


def test_the_core_of_this_repository_is_in_it() -> None:
    names = {path.as_posix() for path in extmods._files(applying.EXTMODS / "_utils")}
    assert any(name.endswith("_utils/pigsty/clients/extmods.py") for name in names)
