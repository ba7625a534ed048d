"""What a running daemon has loaded: by our mark, or by its age."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

EXTMODS = Path(__file__).resolve().parents[3] / "extmods"


@pytest.fixture
def loaded(tmp_path):
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "loaded", EXTMODS / "_modules" / "pigsty_loaded.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.DIRECTORY = tmp_path / "run"
    return module


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config"
    path.write_text("one")
    old = time.time() - 3600
    os.utime(path, (old, old))
    return path


def test_a_process_younger_than_its_files_has_read_them(loaded, file, monkeypatch):
    monkeypatch.setattr(loaded, "_started", lambda pid: time.time() - 10)
    assert not loaded.stale("unit", 1, [str(file)])


def test_a_process_older_than_its_files_has_not(loaded, file, monkeypatch):
    monkeypatch.setattr(loaded, "_started", lambda pid: time.time() - 7200)
    assert loaded.stale("unit", 1, [str(file)])


def test_what_was_marked_is_loaded_until_it_changes(loaded, file, monkeypatch):
    monkeypatch.setattr(loaded, "_started", lambda pid: time.time() - 7200)
    loaded.mark("unit", [str(file)])
    assert not loaded.stale("unit", 1, [str(file)])
    file.write_text("two")
    assert loaded.stale("unit", 1, [str(file)])
    assert loaded.stale("another", 1, [str(file)])


def test_a_file_written_anew_with_the_same_text_is_no_change(loaded, file, monkeypatch):
    monkeypatch.setattr(loaded, "_started", lambda pid: time.time() - 10)
    loaded.mark("unit", [str(file)])
    file.write_text("one")
    assert not loaded.stale("unit", 1, [str(file)])


def test_a_missing_file_counts_as_empty(loaded, file, monkeypatch):
    monkeypatch.setattr(loaded, "_started", lambda pid: time.time() - 10)
    absent = str(file) + ".absent"
    loaded.mark("unit", [str(file), absent])
    assert not loaded.stale("unit", 1, [str(file), absent])


def test_a_process_that_is_gone_has_loaded_nothing(loaded, file):
    assert loaded.stale("unit", 2**22 + 1, [str(file)])


def test_the_age_of_a_process_is_right(loaded):
    import subprocess

    before = time.time()
    with subprocess.Popen(["sleep", "5"]) as process:
        started = loaded._started(process.pid)
        process.kill()
    # The kernel counts in hundredths of a second.
    assert before - 0.05 <= started <= time.time() + 0.05
