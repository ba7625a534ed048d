"""Loader files of Salt as plain modules, with the dunders of a minion in a temporary folder."""

from __future__ import annotations

import getpass
import grp
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from loader import load


@pytest.fixture
def minion(tmp_path: Path) -> SimpleNamespace:
    """A minion: its options, pillar and functions, the real ones for files."""
    files = load("_modules", "pigsty_file")
    salt = {f"pigsty_file.{name}": getattr(files, name) for name in ("read", "changes", "converge")}
    context: dict[str, Any] = {
        "opts": {"id": "10.10.10.11", "test": False},
        "pillar": {"pigsty": {"meta": {}}},
        "salt": salt,
        "grains": {"osarch": "amd64"},
    }
    return SimpleNamespace(
        **context,
        folder=tmp_path,
        load=lambda kind, name: load(kind, name, **context),
        user=getpass.getuser(),
        group=grp.getgrgid(os.getgid()).gr_name,
    )
