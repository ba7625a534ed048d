"""`pigsty plan`, `apply --changed` and `drift`: what an edit touches, shown and carried out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from editions import ALL, FIRST, SECOND, THIRD, cluster, edited, site
from fake_salt import BAD, GOOD, META, Master

from pigsty import applied, drift
from pigsty import journal as record
from pigsty.drift import Reading
from pigsty.journal import Journal
from pigsty.kept import Basis, Kept
from pigsty.platform import load
from pigsty_cli import exitcodes, history, inventories, planning, running
from pigsty_cli.main import run

RULE = {"title": "a new one", "user": "test", "db": "test", "addr": "10.9.9.0/24", "auth": "pwd"}
USER = {"name": "fresh", "password": "Secret.Of.Fresh", "pgbouncer": True}


class Machine:
    """An admin node: its inventory, what was applied, and its Salt master."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.file, self.master, self.folder = folder / "pigsty.yml", Master(), folder
        patch.setattr(record, "PATH", folder / "journal.db")
        patch.setattr(Journal.__init__, "__defaults__", (folder / "journal.db",))
        patch.setattr(Kept.__init__, "__defaults__", (folder / "inventory",))
        for module in (inventories, planning):
            patch.setattr(module, "PLACES", (self.file,))
        patch.setattr("pigsty_cli.commands.apply.PLACES", (self.file,))
        patch.setattr(history, "basis", lambda found: Basis.now(found, site()))
        patch.setattr(history.note, "__defaults__", (folder / "journal.db",))
        patch.setattr(history, "PATH", folder / "applies.json")
        patch.setattr(history.remember, "__defaults__", (folder / "applies.json",))
        patch.setattr(running.lock.held.__wrapped__, "__defaults__", (folder / "lock",))
        # The package repository was built long ago.
        patch.setattr(running.applying, "repository_flag", lambda _topology: None)
        patch.setattr(running.saltapi, "Master", lambda: _Held(self.master))

    def write(self, *edits: Callable[[dict[str, Any]], Any]) -> Basis:
        basis = edited(*edits)
        self.file.write_bytes(basis.text)
        return basis

    def journal(self) -> Journal:
        return Journal(self.folder / "journal.db")


class _Held:
    def __init__(self, master: Master) -> None:
        self._master = master

    def __enter__(self) -> Master:
        return self._master

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with pytest.MonkeyPatch.context() as patch:
        found = Machine(tmp_path, patch)
        journal = found.journal()
        applied.note(journal, Kept(), found.write(), load(), dict.fromkeys(ALL, ()))
        journal.close()
        yield found


def rule(data: dict[str, Any]) -> None:
    cluster(data)["vars"]["pg_hba_rules"] = [RULE]


def user(data: dict[str, Any]) -> None:
    cluster(data)["vars"]["pg_users"].append(USER)


def test_nothing_to_do_is_said_and_is_well(machine: Machine, capsys: Any) -> None:
    assert run(["plan"]) == exitcodes.OK
    assert capsys.readouterr().err == f"{planning.NOTHING}\n"
    assert run(["apply", "--changed", "-o", "json"]) == exitcodes.OK
    assert json.loads(capsys.readouterr().out) == []
    assert machine.master.applied == []


def test_a_plan_shows_hosts_states_and_each_difference_once(machine: Machine, capsys: Any) -> None:
    machine.write(user)
    assert run(["plan"]) == exitcodes.OK
    out = capsys.readouterr().out
    assert out.count("pgsql.objects pgsql.pgbouncer") == 3
    assert out.count("pgsql:objects:roles  (pg-test-1, pg-test-2, pg-test-3)") == 1
    assert "name: fresh" in out
    assert "Secret.Of.Fresh" not in out


def test_a_plan_for_some_targets_is_about_them_alone(machine: Machine, capsys: Any) -> None:
    machine.write(rule)
    assert run(["plan", "pg-test-2", "-o", "json"]) == exitcodes.OK
    data = json.loads(capsys.readouterr().out)
    assert [(h["host"], h["states"]) for h in data["hosts"]] == [(SECOND, ["pgsql.hba"])]
    assert data["stages"] == [[{"hosts": [SECOND], "states": ["pgsql.hba"]}]]


def test_a_bad_inventory_has_no_plan(machine: Machine, capsys: Any) -> None:
    machine.write(lambda data: cluster(data)["hosts"][FIRST].update(pg_role="leader"))
    assert run(["plan"]) == exitcodes.REFUSED
    assert "'leader' is not one of" in capsys.readouterr().err


def test_what_needs_a_person_is_named(machine: Machine, capsys: Any) -> None:
    machine.write(lambda data: cluster(data)["hosts"].pop(THIRD))
    assert run(["plan"]) == exitcodes.OK
    assert f"needs a person: {THIRD} is no longer in the inventory" in capsys.readouterr().out


def test_exactly_the_plan_is_carried_out_and_then_there_is_nothing_to_do(
    machine: Machine, capsys: Any
) -> None:
    machine.write(rule)
    assert run(["apply", "--changed", "--yes"]) == exitcodes.OK
    assert machine.master.applied == [((FIRST, SECOND, THIRD), ["pgsql.hba"])]
    capsys.readouterr()
    assert run(["plan", "-o", "json"]) == exitcodes.OK
    assert json.loads(capsys.readouterr().out)["hosts"] == []


def test_an_audit_of_the_plan_applies_nothing(machine: Machine, capsys: Any) -> None:
    machine.write(rule)
    assert run(["apply", "--changed", "--test"]) == exitcodes.OK
    assert [sent["keywords"].get("test") for sent in machine.master.published
            if sent["function"] == "state.apply"] == [True]  # fmt: skip
    capsys.readouterr()
    run(["plan", "-o", "json"])
    assert len(json.loads(capsys.readouterr().out)["hosts"]) == 3


def test_stages_come_one_after_the_other_and_one_that_failed_is_the_last(
    machine: Machine, capsys: Any
) -> None:
    def new(data: dict[str, Any]) -> None:
        cluster(data)["vars"]["pg_hba_rules"] = [RULE]
        data["all"]["vars"]["node_sysctl_params"] = {"fs.nr_open": 1}

    machine.write(new)
    machine.master.states = {"node_tune": BAD, "pgsql_hba": GOOD}
    assert run(["apply", "--changed", "--yes"]) == exitcodes.FAILED
    assert machine.master.applied == [(ALL, ["node.tune"])]
    out = capsys.readouterr().out
    assert "states didn't compile" in out
    assert run(["apply", "--changed", "--yes"]) == exitcodes.FAILED, "it is still to be done"
    machine.master.states = {}
    machine.master.published.clear()
    assert run(["apply", "--changed", "--yes"]) == exitcodes.OK
    assert machine.master.applied == [
        (ALL, ["node.tune"]),
        ((FIRST, SECOND, THIRD), ["pgsql.hba"]),
    ]


def test_who_is_away_stays_in_the_plan(machine: Machine, capsys: Any) -> None:
    machine.write(rule)
    del machine.master.answers[SECOND]
    machine.master.links.discard(SECOND)
    assert run(["apply", "--changed", "--yes"]) == exitcodes.PARTIAL
    capsys.readouterr()
    run(["plan", "-o", "json"])
    assert [h["host"] for h in json.loads(capsys.readouterr().out)["hosts"]] == [SECOND]


def test_a_whole_apply_leaves_nothing_in_the_plan(machine: Machine, capsys: Any) -> None:
    machine.write(rule, user)
    assert run(["apply", "--yes"]) == exitcodes.OK
    capsys.readouterr()
    run(["plan", "-o", "json"])
    assert json.loads(capsys.readouterr().out)["hosts"] == []


def test_modules_and_changed_do_not_go_together(machine: Machine, capsys: Any) -> None:
    assert run(["apply", "--changed", "-m", "node"]) == exitcodes.USAGE
    assert "--changed chooses the states itself" in capsys.readouterr().err


# -- drift ---------------------------------------------------------------------------------------


def test_drift_shows_the_latest_look_at_each_host(
    machine: Machine, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pigsty_cli.commands.drift.PLACES", (machine.file,))
    journal = machine.journal()
    journal.settle(drift.KIND, FIRST, Reading(5.0, (("pgsql-hba", "pgsql.hba"),)).fact(), 5.0)
    journal.settle(drift.KIND, SECOND, Reading(6.0, (), "no answer").fact(), 6.0)
    journal.settle(drift.KIND, META, Reading(7.0).fact(), 7.0)
    journal.close()
    assert run(["drift", "-o", "json"]) == exitcodes.OK
    rows = {row["host"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows[FIRST]["count"], rows[FIRST]["states"]) == (1, ["pgsql-hba"])
    assert (rows[SECOND]["count"], rows[SECOND]["error"]) == (None, "no answer")
    assert (rows[META]["count"], rows[THIRD]["checked"]) == (0, None)
    assert run(["drift", "pg-test"]) == exitcodes.OK
    out = capsys.readouterr().out
    assert "never" in out and "no answer" in out and META not in out
