"""What the admin node says of its minions and reactions."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pigsty import alive, metrics
from pigsty.clients import textfile
from pigsty.clients.textfile import LogCount, Publisher
from pigsty.drift import Reading
from pigsty.events import Hint
from pigsty.journal import Journal
from pigsty.kept import Served
from pigsty.metrics import Snapshot
from pigsty.render.files import BANNER
from pigsty.tally import WINDOW, Ended, Tally

SET = frozenset(["10.1.1.2"])
SOME = '{cls="pg-a",ins="pg-a-1",ip="10.1.1.2"}'


def values(text: str) -> dict[str, float]:
    """Return the samples of a file: name with labels, and value."""
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    found = {name: float(value) for name, value in rows}
    assert len(found) == len(rows), "a sample stands there twice"
    return found


def test_every_host_of_the_inventory_is_told_of(deployment):
    made = deployment()
    snapshot = Snapshot(made, {"accepted": SET}, connected=SET)
    found = values(metrics.text(snapshot))
    assert found[f"pigsty_minion_connected{SOME}"] == 1
    assert found['pigsty_minion_connected{cls="pg-a",ins="pg-a-2",ip="10.1.1.3"}'] == 0
    assert sum(value for name, value in found.items() if "minion_accepted" in name) == 1


def test_keys_that_were_refused_are_counted_and_an_impostor_is_named(deployment):
    keys = {
        "accepted": SET,
        # Another key of a node, a node that nobody has brought its key, and two strangers.
        "denied": SET | {"evil"},
        "pending": frozenset(["10.1.1.3", 'x"} 1\npigsty_minion_accepted{ip="10.1.1.3']),
        "rejected": frozenset(["10.9.9.9", "10.1.1.1"]),
    }
    found = values(metrics.text(Snapshot(deployment(), keys)))
    assert found[f"pigsty_minion_impostor{SOME}"] == 1
    assert sum(value for name, value in found.items() if "impostor" in name) == 1
    assert found['pigsty_keys_unknown{host="inventory"}'] == 1
    assert found['pigsty_keys_unknown{host="elsewhere"}'] == 2
    assert sum(value for name, value in found.items() if "minion_accepted" in name) == 1


def test_without_a_knock_nothing_is_refused(deployment):
    found = values(metrics.text(Snapshot(deployment(), {"accepted": SET})))
    assert found[f"pigsty_minion_impostor{SOME}"] == 0
    assert found['pigsty_keys_unknown{host="inventory"}'] == 0
    assert found['pigsty_keys_unknown{host="elsewhere"}'] == 0


def test_the_last_apply_and_the_last_look_for_drift(deployment):
    time = "2026-01-31T12:00:00+00:00"
    applies = {"10.1.1.2": {"time": time, "status": "failed", "failed": 2, "changed": 3}}
    drift = {"10.1.1.2": Reading(1769864400.0, tuple((f"s{n}", "node") for n in range(4)))}
    found = values(metrics.text(Snapshot(deployment(), applies=applies, drift=drift)))
    assert found[f"pigsty_converge_failed{SOME}"] == 2
    assert found[f"pigsty_converge_changed{SOME}"] == 3
    assert found[f"pigsty_converge_time_seconds{SOME}"] == 1769860800
    assert found[f"pigsty_drift_states{SOME}"] == 4
    assert found[f"pigsty_drift_time_seconds{SOME}"] == 1769864400
    assert not [name for name in found if "converge" in name and "10.1.1.3" in name]


@pytest.mark.parametrize(("status", "failed"), [("ok", 0), ("changed", 0), ("lost", 1),
                                                ("failed", 1), ("unreachable", 0)])  # fmt: skip
def test_a_run_that_ended_without_a_word_has_failed_too(deployment, status, failed):
    applies = {"10.1.1.2": {"time": "2026-01-31T12:00:00+00:00", "status": status, "failed": 0}}
    found = values(metrics.text(Snapshot(deployment(), applies=applies)))
    assert found[f"pigsty_converge_failed{SOME}"] == failed


@pytest.mark.parametrize("record", [7, {}, {"time": "soon"}, {"time": None, "failed": 3}])
def test_a_damaged_record_is_left_out(deployment, record):
    broken = {"10.1.1.2": record}
    text = metrics.text(Snapshot(deployment(), applies=broken))
    assert "converge" not in text


def test_reactions_and_engines(deployment):
    tally = Tally({"queued": 2}, 12.5, {("node.join", "failed"): Ended(1, 3.25, 4.0)}, 7)
    alive = {"dcs": 1769860800.5}
    snapshot = Snapshot(deployment(), tally=tally, alive=alive, dropped=3, behind=61.5)
    found = values(metrics.text(snapshot))
    assert found['pigsty_reactions_open{state="queued"}'] == 2
    assert found['pigsty_reactions_open{state="running"}'] == 0
    assert found["pigsty_reaction_overdue_seconds"] == 12.5
    assert found['pigsty_reactions_ended{kind="node.join",result="failed"}'] == 1
    assert found['pigsty_reaction_longest_seconds{kind="node.join",result="failed"}'] == 4
    assert found['pigsty_engine_alive_seconds{engine="dcs"}'] == 1769860800.5
    assert found["pigsty_bus_dropped_total"] == 3
    assert found["pigsty_journal_behind_seconds"] == 61.5
    assert found["pigsty_hints_refused"] == 7


def test_the_file_is_one_that_prometheus_reads(deployment):
    text = metrics.text(Snapshot(deployment(), tally=Tally(ended={("a", "done"): Ended(1, 1, 1)})))
    assert text.startswith(BANNER)
    for line in text.splitlines():
        assert re.fullmatch(
            r"# (HELP|TYPE) [a-z_]+ .+|# Managed.*|[a-z_]+(\{[^{}]+\})? -?[0-9.]+", line
        ), line
    assert "# TYPE pigsty_bus_dropped_total counter" in text


def test_the_journal_counts_what_waits_and_what_ended_within_the_hour(tmp_path):
    journal = Journal(tmp_path / "journal.db")
    for subject in ("a", "b", "c"):
        journal.note(Hint("pgsql.leader", subject, "master", {}), 1000.0)
    journal.note(Hint("drift", "x", "master", {}), 1000.0, refused="nothing follows from it")
    done, running = journal.take(1001.0), journal.take(1001.0)
    assert done and running
    journal.end(done, "done", "", 1004.0)
    found = journal.tally(1010.0)
    assert found.open == {"queued": 1, "running": 1}
    assert found.overdue == 10.0
    assert found.ended == {("pgsql.leader", "done"): Ended(1, 4.0, 4.0)}
    assert found.refused == 1
    later = journal.tally(1004.0 + WINDOW + 1)
    assert (later.ended, later.refused) == ({}, 0)
    journal.close()


def test_an_empty_journal_has_nothing_overdue(tmp_path):
    journal = Journal(tmp_path / "journal.db")
    assert journal.tally(5.0) == Tally()
    # What is due later is not overdue.
    journal.note(Hint("node.join", "a", "master", {}), 5.0, delay=10.0)
    assert journal.tally(6.0).overdue == 0.0
    journal.close()


def test_lines_of_the_log_are_counted_once_also_over_a_rotation(tmp_path):
    log = tmp_path / "master"
    log.write_text("TaskPool queue is full!\n")
    found = LogCount(log)
    assert found.count() == 0, "what was there before isn't counted"
    with log.open("a") as file:
        file.write("ERROR TaskPool queue is full!\nother\nPublisher discarding slow subscriber")
    assert found.count() == 1
    with log.open("a") as file:
        file.write(" x\n")
    assert found.count() == found.count() == 2
    log.rename(tmp_path / "master.1")
    assert found.count() == 2
    log.write_text("TaskPool queue is full!\n")
    assert found.count() == 3
    log.write_text("")
    assert found.count() == 3


def test_signs_of_life_are_moments(tmp_path):
    folder = tmp_path / "alive"
    assert alive.signs(folder) == {}
    alive.sign("dcs", folder)
    alive.sign("worker", folder)
    os.utime(folder / "dcs", (7, 7))
    found = alive.signs(folder)
    assert found["dcs"] == 7
    assert found["worker"] > 1e9


@pytest.fixture
def publisher(deployment, tmp_path, monkeypatch):
    made = deployment()
    monkeypatch.setattr(textfile.kept, "serving", lambda *_: Served(made))
    monkeypatch.setattr(textfile.minions, "connected", lambda _port: frozenset(["10.1.1.2"]))
    (tmp_path / "textfiles").mkdir()
    for name in ("minions/10.1.1.1", "minions/10.1.1.2", "minions_denied/10.1.1.2"):
        path = tmp_path / "pki" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Publisher("", 4505, tmp_path / "pki", LogCount(tmp_path / "log"), lambda: 0.0,
                     tmp_path / "textfiles", tmp_path / "applies.json",
                     tmp_path / "alive")  # fmt: skip


def published(publisher, tmp_path: Path) -> dict[str, float]:
    journal = Journal(tmp_path / "journal.db")
    publisher.publish(journal, 1000.0)
    journal.close()
    assert [path.name for path in publisher.folder.iterdir()] == [metrics.FILE]
    return values((publisher.folder / metrics.FILE).read_text())


def test_the_file_is_written_whole(publisher, tmp_path):
    (tmp_path / "applies.json").write_text("{ cut o")
    journal = Journal(tmp_path / "journal.db")
    journal.settle("drift", "10.1.1.2", Reading(900.0, (("node-repo", "node.repo"),)).fact(), 900.0)
    journal.close()
    found = published(publisher, tmp_path)
    assert found[f"pigsty_drift_states{SOME}"] == 1
    assert found[f"pigsty_minion_connected{SOME}"] == 1
    assert found[f"pigsty_minion_impostor{SOME}"] == 1
    own = [
        name for name in found if name.startswith("pigsty_minion_connected") and "10.1.1.1" in name
    ]
    assert [found[name] for name in own] == [1], "the admin node's own minion is always there"


def test_without_an_exporter_nothing_is_written(publisher, tmp_path):
    publisher.folder.rmdir()
    journal = Journal(tmp_path / "journal.db")
    publisher.publish(journal, 1000.0)
    journal.close()
    assert not publisher.folder.exists()


def test_an_inventory_that_is_broken_leaves_the_last_file(publisher, tmp_path, monkeypatch):
    before = published(publisher, tmp_path)

    def broken(*_):
        raise textfile.PigstyError("line 3")

    monkeypatch.setattr(textfile.kept, "serving", broken)
    assert published(publisher, tmp_path) == before
