"""While the inventory has errors every minion gets, byte for byte, what it got before."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from editions import ALL, FIRST, ROOT, SANDBOX
from fake_salt import Master

from pigsty import pki
from pigsty.errors import PillarError
from pigsty.kept import Kept
from pigsty_cli import deployment, exitcodes, inventories
from pigsty_cli.main import run

GOOD = SANDBOX.read_text("utf-8")
MISTAKES = [
    ("pg_seq: 2", "pg_seq: two"),
    ("pg_role: primary", "pg_role: leader"),
    ("all:", "all: ["),
    (GOOD, ""),
]


def _loader() -> ModuleType:
    """The ext_pillar as Salt imports it, for a minion without grains."""
    path = ROOT / "extmods/_pillar/pigsty_pillar.py"
    spec = importlib.util.spec_from_file_location("_pillar.pigsty_pillar", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.log.propagate = False
    module.__grains__ = {}  # type: ignore[attr-defined]
    module.__opts__ = {"id": "the-master_master"}  # type: ignore[attr-defined]
    return module


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "pigsty.yml"
    found.write_text(GOOD)
    _key, ca = pki.create_ca("test-ca", 1)
    (tmp_path / "ca.crt").write_bytes(ca)
    (tmp_path / "secret.key").write_text("5a" * 32)
    return found


@pytest.fixture
def pillar(file: Path, kept: Kept) -> Callable[[str], str]:
    """Returns what a minion gets, as text."""

    def get(minion: str) -> str:
        folder = file.parent
        found: Any = _loader().ext_pillar(
            minion, {}, str(file), folder / "secret.key", folder / "ca.crt", good=str(kept.good)
        )
        return json.dumps(found)

    return get


@pytest.mark.parametrize(("right", "wrong"), MISTAKES)
def test_a_mistake_changes_no_pillar(
    file: Path, kept: Kept, pillar: Callable[[str], str], right: str, wrong: str
) -> None:
    before = {host: pillar(host) for host in ALL}
    kept.keep_good(GOOD.encode())
    file.write_text(GOOD.replace(right, wrong, 1))
    assert {host: pillar(host) for host in ALL} == before


def test_without_a_good_one_no_pillar_is_made(file: Path, pillar: Callable[[str], str]) -> None:
    file.write_text(GOOD.replace("pg_seq: 2", "pg_seq: two"))
    with pytest.raises(PillarError, match="pigsty validate"):
        pillar(FIRST)


def test_a_host_of_the_bad_one_alone_gets_none(
    file: Path, kept: Kept, pillar: Callable[[str], str]
) -> None:
    kept.keep_good(GOOD.encode())
    file.write_text(GOOD.replace("10.10.10.13", "10.10.10.14").replace("pg_seq: 2", "pg_seq: two"))
    with pytest.raises(PillarError, match=r"10\.10\.10\.14"):
        pillar("10.10.10.14")
    assert pillar("10.10.10.13")


@pytest.mark.parametrize(("right", "wrong"), MISTAKES)
def test_status_shows_what_is_in_force_and_says_that_the_file_is_not(
    file: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch, capsys: Any, right: str, wrong: str
) -> None:
    monkeypatch.setattr("pigsty_cli.saltapi.Master", _held)
    monkeypatch.setattr(deployment, "live_members", lambda _clusters: {})
    monkeypatch.setattr(deployment, "etcd_health", lambda _topology: [])
    for module in (inventories, deployment):
        monkeypatch.setattr(module, "PLACES", (file,))
    monkeypatch.setattr(Kept.__init__, "__defaults__", (kept.good.parent,))
    kept.keep_good(GOOD.encode())
    file.write_text(GOOD.replace(right, wrong, 1))
    assert run(["status"]) == exitcodes.OK
    first, *rest = capsys.readouterr().out.splitlines()
    assert "INVALID" in first
    assert "served is the last good one, and nothing new is applied" in first
    assert any(line.startswith(FIRST) for line in rest)


def _held() -> Any:
    class Held(Master):
        def __enter__(self) -> Master:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    return Held()
