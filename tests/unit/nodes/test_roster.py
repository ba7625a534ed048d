"""Machines beside their keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pigsty import journal as journal_module
from pigsty import roster, topology
from pigsty.clients import keys
from pigsty.clients.keys import FOLDERS, Key, State
from pigsty.events import Hint
from pigsty.journal import Journal
from pigsty_cli import nodes
from pigsty_cli.commands import node as command
from pigsty_cli.errors import UsageError
from pigsty_cli.main import run

SANDBOX = Path(__file__).resolve().parents[3] / "pillar/inventory/sandbox.yml"
ADMIN, FIRST, SECOND, THIRD = (f"10.10.10.{number}" for number in (10, 11, 12, 13))
STRANGER = "10.9.9.9"


def _key(id: str, state: State) -> Key:
    return Key(id, state, "aa:bb", "")


def test_each_host_has_a_row_and_strangers_come_last() -> None:
    found = roster.machines(
        topology.load(SANDBOX),
        {ADMIN: "up", FIRST: "up", SECOND: "up", THIRD: "no key"},
        [_key(STRANGER, "pending"), _key("zz", "accepted"), _key(ADMIN, "accepted"),
         _key(FIRST, "accepted"), _key(SECOND, "accepted"), _key(SECOND, "denied")],
        {ADMIN, SECOND},
    )  # fmt: skip
    rows = {row.host: row for row in found}
    assert list(rows) == [ADMIN, FIRST, SECOND, THIRD, STRANGER, "zz"]
    assert (rows[ADMIN].note, rows[ADMIN].key) == ("", "accepted")
    assert rows[FIRST].note == f"joins, or failed to: pigsty events {FIRST}"
    assert rows[SECOND].key == "accepted, denied" and "another key" in rows[SECOND].note
    assert rows[THIRD].note == f"pigsty node add {THIRD}" and rows[THIRD].key == "none"
    assert rows[STRANGER].note == f"not in the inventory: pigsty node forget {STRANGER}"
    assert rows["zz"].note == "not in the inventory: pigsty node rm zz"
    assert rows[SECOND].to_dict()["modules"] == ["node", "pgsql"]


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An admin node's keys and journal below a folder."""
    pki = tmp_path / "pki"
    for folder in FOLDERS.values():
        (pki / folder).mkdir(parents=True)
    (pki / "minions" / SECOND).write_text("-----A\nown\n-----Z")
    (pki / "minions_denied" / SECOND).write_text("-----A\nother\n-----Z")
    (pki / "minions_pre" / STRANGER).write_text("-----A\nx\n-----Z")
    monkeypatch.setattr(keys, "PKI", pki)
    monkeypatch.setattr(journal_module, "PATH", tmp_path / "journal.db")
    monkeypatch.setattr(nodes, "asked", lambda topology: ({SECOND: "up"}, ""))
    return tmp_path


def test_a_machine_is_shown_with_its_keys_and_what_happened(admin: Path) -> None:
    record = Journal(admin / "journal.db")
    record.note(Hint("node.key", SECOND, "master", {"act": "denied"}), 100.0)
    record.close()
    found = nodes.detail("pg-test-2", str(SANDBOX))
    assert (found["host"], found["ssh"], found["minion"]) == (SECOND, f"{SECOND}:22", "up")
    assert [key["state"] for key in found["keys"]] == ["accepted", "denied"]
    assert [line["happened"] for line in found["events"]] == [f"{SECOND} showed a key: denied"]
    assert nodes.detail(STRANGER, str(SANDBOX))["key"] == "pending"


def test_an_unknown_machine_is_an_error_with_the_nearest_name(
    admin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["node", "show", "pg-tset-2", "-i", str(SANDBOX)]) == 2
    assert "pg-test-2" in capsys.readouterr().err


def test_forgetting_deletes_what_was_not_taken_and_nothing_else(admin: Path) -> None:
    record = Journal(admin / "journal.db")
    record.settle("node.key", SECOND, "denied:x", 1.0)
    gone = nodes.forget([SECOND, STRANGER])
    assert {(key["id"], key["state"]) for key in gone} == {
        (SECOND, "denied"),
        (STRANGER, "pending"),
    }
    assert [(key.id, key.state) for key in keys.read(keys.PKI)] == [(SECOND, "accepted")]
    # Shown again, it is told of again.
    assert record.settled("node.key", SECOND) is None
    record.close()
    with pytest.raises(UsageError, match=SECOND):
        nodes.forget([SECOND])


def test_the_list_is_data_too(admin: Path) -> None:
    done = CliRunner().invoke(command.command, ["list", "-i", str(SANDBOX), "-o", "json"])
    rows = json.loads(done.output)
    assert [row["host"] for row in rows][-1] == STRANGER
    assert rows[2]["key"] == "accepted, denied"
