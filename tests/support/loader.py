"""Loader files of Salt as plain modules."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

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
