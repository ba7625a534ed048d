"""A journal and a folder of inventories for what edits touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pigsty.journal import Journal
from pigsty.kept import Kept


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path / "journal.db")
    yield found
    found.close()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "inventory")
