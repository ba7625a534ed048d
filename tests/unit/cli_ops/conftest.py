"""The admin node of the sandbox's inventory, with a Salt master made of data."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_salt import Master as FakeMaster

from pigsty_cli import history, inventories, lock, saltapi

SANDBOX = Path(__file__).resolve().parents[3] / "pillar/inventory/sandbox.yml"
CHANGED = {
    "x": {
        "result": True,
        "changes": {"role test": {"comment": {"old": "a", "new": "b"}}},
        "__id__": "pgsql-objects",
        "__sls__": "pgsql.objects",
    }
}


class Master(FakeMaster):
    def __enter__(self) -> Master:
        return self

    def __exit__(self, *_exc: object) -> None: ...


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Master:
    file = tmp_path / "pigsty.yml"
    file.write_text(SANDBOX.read_text(encoding="utf-8"), encoding="utf-8")
    fake = Master(pgsql_objects=CHANGED)
    monkeypatch.setattr(inventories, "PLACES", (file,))
    monkeypatch.setattr(saltapi, "Master", lambda: fake)
    monkeypatch.setattr(lock.held.__wrapped__, "__defaults__", (tmp_path / "apply.lock",))
    monkeypatch.setattr(history.read, "__defaults__", (tmp_path / "applies.json",))
    return fake
