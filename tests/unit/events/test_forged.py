"""The whole corpus of forged, late, doubled and reordered events, through the real way of an event.

Each is rendered by Salt's reactor from the reactor's SLS, goes through the runner into the journal,
and the worker reacts to what is true. The truth decides: nothing else is done, nothing breaks, and
each event leaves one line.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forged
import pytest
import salt.config
import salt.utils.reactor
import yaml
from forged import Forged

from pigsty import events, react, topology, views
from pigsty.journal import Entry, Journal
from pigsty.reactions.truth import Step, Truth
from pigsty.returns import HostResult
from pigsty.worker import Worker

ROOT = Path(__file__).resolve().parents[3]
CORPUS = forged.corpus()
TOPOLOGY = topology.load(ROOT / "pillar/inventory/sandbox.yml")
LEADER = "pg-test-2"
GENUINE = Forged(
    "the genuine one",
    forged.TAG,
    "master",
    {"cluster": "pg-test", "leader": LEADER, "previous": "pg-test-1", "timeline": 2},
    "",
)


class Way:
    """The way of an event: a reactor with the project's configuration, the runner, a journal."""

    def __init__(self, folder: Path) -> None:
        options = salt.config.master_config(None)
        options.update(
            root_dir=str(folder),
            cachedir=str(folder / "cache"),
            pki_dir=str(folder / "pki"),
            extension_modules=str(folder / "extmods"),
            module_dirs=[str(ROOT / "extmods")],
        )
        self.reactor = salt.utils.reactor.Reactor(options)
        conf = yaml.safe_load((ROOT / "salt/master.d/pigsty.conf").read_text("utf-8"))
        self.table: list[tuple[str, list[str]]] = [
            (pattern, [name.replace("/opt/pigsty/src", str(ROOT)) for name in names])
            for row in conf["reactor"]
            for pattern, names in row.items()
        ]
        self.path = folder / "journal.db"
        path = ROOT / "extmods/_runners/pigsty_react.py"
        spec = importlib.util.spec_from_file_location("runner", path)
        assert spec is not None and spec.loader is not None
        self.runner: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.runner)
        self.runner.Journal = lambda: Journal(self.path)
        self.runner.DELAY = {}

    def send(self, event: Forged) -> None:
        """Do what the master does with an event; one whose tag has no reactor goes to the runner
        by the leader's, as if it had one.
        """
        files = [name for glob, names in self.table if fnmatch(event.tag, glob) for name in names]
        files = files or [str(ROOT / "reactors/pgsql_leader.sls")]
        chunks = self.reactor.reactions(event.tag, event.event, files)
        (chunk,) = chunks
        assert (chunk["state"], chunk["fun"]) == ("runner", "pigsty_react.hint")
        self.runner.hint(**chunk["args"])


class World:
    """A deployment in which everything is dealt with, and who notes what is run."""

    def __init__(self) -> None:
        self.topology = TOPOLOGY
        self.leaders = {"pg-test": LEADER, "pg-meta": "pg-meta-1"}
        self.ran: list[Step] = []

    def truth(self, kind: str = "", subject: str = "") -> Truth:
        pairs = [(f"/pg/{name}/leader", leader) for name, leader in self.leaders.items()]
        pairs += [
            (f"/pg/{name}/members/{member.name}", '{"state": "running"}')
            for name, cluster in self.topology.pg_clusters.items()
            for member in cluster.members
        ]
        return Truth(self.topology, views.read("/pg", pairs), frozenset(self.topology.nodes))

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    def run(self, step: Step) -> Mapping[str, HostResult]:
        self.ran.append(step)
        return {host: HostResult(host, "ok") for host in step.hosts}

    def note(self, truth: Truth, ran: Mapping[str, tuple[str, ...]]) -> None:
        """What was run where is of no matter here."""


Facts = dict[tuple[str, str], str | None]


class Scene(SimpleNamespace):
    """Way, world, worker and journal."""

    way: Way
    world: World
    worker: Worker
    journal: Journal
    time: float

    def send(self, *sent: Forged) -> None:
        for event in sent:
            self.way.send(event)

    def settle(self) -> None:
        """Let the worker do what is to be done."""
        self.time += 3600
        while self.worker.turn():
            self.worker.drain()

    @property
    def entries(self) -> list[Entry]:
        return self.journal.entries(limit=100_000)

    def facts(self) -> Facts:
        names = self.world.topology.pg_clusters
        return {
            (kind, name): self.journal.settled(kind, name)
            for kind in ("pgsql.leader", "pgsql.member")
            for name in names
        }

    def deal_with_everything(self) -> None:
        """Settle what is true, as after a while without events."""
        truth = self.world.truth()
        for kind, name in self.facts():
            fact = react.decide(kind, name, truth, None).fact
            assert fact is not None
            self.journal.settle(kind, name, fact, 1.0)


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Salt says at every level what it renders: that would take longer than the rendering."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    yield
    logging.disable(before)


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Way:
    return Way(tmp_path_factory.mktemp("master"))


@pytest.fixture
def scene(way: Way, tmp_path: Path) -> Iterator[Scene]:
    way.path = tmp_path / "journal.db"
    world = World()
    found = Scene(way=way, world=world, time=1e10, journal=Journal(way.path))
    found.worker = Worker(lambda: Journal(way.path), world, lambda: found.time)
    found.deal_with_everything()
    yield found
    found.worker.close()
    found.journal.close()


def test_the_corpus_is_large_and_no_two_are_called_the_same() -> None:
    assert len(CORPUS) >= 200
    assert len({event.name for event in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("event", CORPUS, ids=lambda event: event.name)
def test_each_leaves_one_line_and_changes_nothing(
    scene: Scene, event: Forged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    before = scene.facts()
    scene.send(event)
    scene.settle()
    (entry,) = scene.entries
    if event.refused:
        assert event.refused in entry.refused
        assert entry.reaction is None
    else:
        assert entry.refused == ""
        assert entry.reaction is not None and entry.reaction.state == "done"
    assert scene.world.ran == []
    assert scene.facts() == before
    assert not list(tmp_path.glob("PWNED*")), "something of it was carried out"
    shown = json.dumps([entry.hint.subject, entry.hint.sender, dict(entry.hint.data)])
    assert len(shown) < 10 * events.TEXT_LENGTH
    assert entry.hint.subject.isprintable() and entry.hint.sender.isprintable()
    assert all(v.isprintable() for v in entry.hint.data.values() if isinstance(v, str))


def _late(sent: list[Forged]) -> list[Forged]:
    return sent[::-1]


def _twice(sent: list[Forged]) -> list[Forged]:
    return [event for event in sent for _ in (1, 2)]


def _shuffled(sent: list[Forged]) -> list[Forged]:
    return random.Random(5).sample(sent, len(sent))


ORDERS: list[Callable[[list[Forged]], list[Forged]]] = [list, _late, _twice, _shuffled]


@pytest.mark.parametrize("order", ORDERS)
def test_with_a_genuine_one_among_them_what_it_calls_for_is_done_once(
    scene: Scene, order: Callable[[list[Forged]], list[Forged]]
) -> None:
    scene.journal.settle("pgsql.leader", "pg-test", "pg-test-1", 1.0)
    wanted = react.decide("pgsql.leader", "pg-test", scene.world.truth(), "pg-test-1")
    small = [event for event in CORPUS if len(str(event.data)) < 10_000]
    sent = order([*small[:60], GENUINE, *small[60:120]])
    scene.send(*sent)
    scene.settle()
    assert scene.world.ran == [step for stage in wanted.stages for step in stage]
    assert scene.journal.settled("pgsql.leader", "pg-test") == LEADER
    assert len(scene.entries) == len(sent), "one line each"
    assert {e.reaction.state for e in scene.entries if e.reaction} == {"done"}
    # Whoever comes late finds it dealt with.
    scene.send(GENUINE, *small[:20])
    scene.settle()
    assert len(scene.world.ran) == sum(len(stage) for stage in wanted.stages)


def test_a_burst_while_the_leader_moves_on_ends_with_who_leads_at_last(scene: Scene) -> None:
    for leader in ("pg-test-1", "pg-test-3", "pg-test-1", "pg-test-3"):
        scene.world.leaders["pg-test"] = leader
        claim = {"cluster": "pg-test", "leader": leader}
        scene.send(*[Forged("", forged.TAG, "master", claim, "")] * 5)
        scene.worker.turn()
    scene.worker.drain()
    scene.settle()
    assert scene.journal.settled("pgsql.leader", "pg-test") == "pg-test-3"


def test_a_start_is_the_senders_own_whatever_its_tag_says(scene: Scene) -> None:
    scene.send(Forged("", "salt/minion/10.10.10.11/start", "10.10.10.13", "started", ""))
    (entry,) = scene.entries
    assert (entry.hint.kind, entry.hint.subject) == ("node.join", "10.10.10.13")
