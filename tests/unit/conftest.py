"""Loader files of Salt as plain modules, with the dunders of a minion in a temporary folder."""

from __future__ import annotations

import getpass
import grp
import importlib.util
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

EXTMODS = Path(__file__).resolve().parents[2] / "extmods"


def load(kind: str, name: str, **dunders: Any) -> ModuleType:
    """Import a loader file and give it its dunders."""
    spec = importlib.util.spec_from_file_location(f"{kind}.{name}", EXTMODS / kind / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if hasattr(module, "log"):
        # Salt keeps early log records, and would write them after the test run's end.
        module.log.propagate = False
    for dunder, value in dunders.items():
        setattr(module, f"__{dunder}__", value)
    return module


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
