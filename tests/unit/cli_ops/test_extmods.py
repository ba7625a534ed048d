"""Fingerprints of modules: equal exactly when the modules are."""

from __future__ import annotations

import os
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


def test_the_newest_file_of_some_folders_counts(repository: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("_modules/a.py", "core/deep/d.py", "_states/b.py")):
        os.utime(repository / name, (100 + number, 100 + number))
    places = (repository / "_modules", tmp_path / "none", repository / "core/deep")
    assert extmods.changed(*places) == 101
    assert extmods.changed(tmp_path / "none") == 0


@pytest.mark.parametrize(
    "name",
    [
        "extmods/pigsty/topology.py",
        "extmods/_pillar/pigsty_pillar.py",
        "extmods/_runners/pigsty_react.py",
        "extmods/_engines/pigsty_dcs.py",
        "pillar/os/debian-12/node.yml",
        "pillar/params/pgsql.yml",
        "states/infra/rules/pgsql.yml",
    ],
)
def test_a_master_is_outdated_when_a_file_that_it_keeps_is_newer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    assert (applying.EXTMODS.parent / name).exists(), "as in this repository"
    places = [tmp_path / place.relative_to(applying.EXTMODS.parent) for place in applying.kept()]
    monkeypatch.setattr(applying, "kept", lambda: places)
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text("")
    os.utime(file, (200, 200))
    assert applying.outdated(199)
    assert not applying.outdated(200)
    assert not applying.outdated(None)
