"""A watch tells every change once, through gaps, broken streams and stores that are down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pigsty import watcher
from pigsty.clients.etcd import EtcdError
from pigsty.clients.etcd_watch import update as read_line
from pigsty.clients.store import Gap, Snapshot, Source, Update
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError
from pigsty.views import Change
from pigsty.watcher import Watcher

LEADER = "/pg/a/leader"


class FakeStore:
    """A store whose reads and streams are scripted; a stream ends with what it is told to raise."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {LEADER: "a-1"}
        self.revision = 1
        self.streams: list[list[Any]] = []
        self.began: list[int] = []
        self.down = 0

    def read(self, prefix: str) -> Snapshot:
        assert prefix == "/pg/"
        if self.down:
            self.down -= 1
            raise ClientError("connection refused")
        return Snapshot(self.revision, list(self.data.items()))

    def watch(self, prefix: str, revision: int) -> Iterator[Update]:
        self.began.append(revision)
        for item in self.streams.pop(0) if self.streams else ():
            if isinstance(item, Exception):
                raise item
            self.revision += 1
            yield Update(self.revision, item)


class Scene:
    """A watcher of a fake store, and what it told."""

    def __init__(self) -> None:
        self.store, self.told = FakeStore(), list[Change]()
        self.source: Source | None = Source(self.store, "/pg/")
        self.time = 0.0
        self.stop = threading.Event()
        self.watcher = Watcher(lambda: self.source, self.told.append, clock=lambda: self.time)

    def session(self) -> None:
        self.watcher.session(self.stop)

    @property
    def leaders(self) -> list[str]:
        return [change.data["leader"] for change in self.told if change.kind == "leader"]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_is_there_at_first_is_no_change(scene: Scene) -> None:
    scene.session()
    assert scene.told == []


def test_a_leader_that_changed_while_nobody_watched_is_told_when_the_watch_begins(
    scene: Scene,
) -> None:
    scene.store.data["/pg/b/leader"] = "b-1"
    dealt_with = {"a": "a-2", "b": "b-1"}
    scene.watcher = Watcher(
        lambda: scene.source,
        scene.told.append,
        lambda cluster: dealt_with.get(cluster, ""),
        lambda: scene.time,
    )
    scene.session()
    assert [(c.cluster, c.data["leader"], c.data["previous"]) for c in scene.told] == [
        ("a", "a-1", "a-2")
    ]
    scene.session()
    assert len(scene.told) == 1


def test_the_stream_begins_where_the_read_ended(scene: Scene) -> None:
    scene.store.revision = 41
    scene.session()
    assert scene.store.began == [41]


def test_a_failover_is_told_once(scene: Scene) -> None:
    scene.store.streams = [[[(LEADER, None)], [(LEADER, "a-2")], [("/pg/a/status", "1")]]]
    scene.session()
    assert scene.leaders == ["a-2"]


def test_two_changes_in_one_update_are_two(scene: Scene) -> None:
    scene.store.streams = [[[(LEADER, None), (LEADER, "a-2"), (LEADER, "a-3")]]]
    scene.session()
    assert scene.leaders == ["a-2", "a-3"]


def test_a_change_that_fell_between_two_streams_comes_to_light(scene: Scene) -> None:
    scene.store.streams = [[ClientError("reset")], []]
    with pytest.raises(ClientError):
        scene.session()
    scene.store.data[LEADER] = "a-2"
    scene.session()
    assert scene.leaders == ["a-2"]
    scene.session()
    assert scene.leaders == ["a-2"], "and only once"


def test_a_leader_that_changed_over_a_gap_in_which_nobody_led(scene: Scene) -> None:
    scene.session()
    del scene.store.data[LEADER]
    scene.store.data["/pg/a/members/a-2"] = "{}"
    scene.session()
    scene.store.data[LEADER] = "a-1"
    scene.session()
    assert scene.leaders == [], "the same one again"
    scene.store.data[LEADER] = "a-2"
    scene.session()
    assert scene.leaders == ["a-2"]


def test_after_a_while_everything_is_read_again_though_the_stream_goes_on(scene: Scene) -> None:
    def stream() -> Iterator[Any]:
        yield [(LEADER, "a-2")]
        scene.time = 1000.0
        yield [(LEADER, "a-3")]
        raise AssertionError("the stream must be left")

    scene.store.streams = [stream()]  # type: ignore[list-item]
    scene.session()
    assert scene.leaders == ["a-2", "a-3"]


def test_where_nothing_is_to_be_watched_it_is_looked_again_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.session()
    waited: list[float] = []
    monkeypatch.setattr(scene.stop, "wait", waited.append)
    source, scene.source = scene.source, None
    scene.session()
    assert waited == [DEADLINES["dcs.resync"]]
    scene.source = source
    scene.store.data[LEADER] = "a-2"
    scene.session()
    assert scene.told == [], "what is there when a watch begins is no change"


def test_a_store_that_is_down_is_waited_for_and_said_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    scene.store.down = 7
    scene.store.streams = [[[(LEADER, "a-2")], Gap("compacted")], [[(LEADER, "a-3")]]]
    monkeypatch.setattr(scene.stop, "wait", wait)
    told = scene.told.append

    def emit(change: Change) -> None:
        told(change)
        if change.data.get("leader") == "a-3":
            scene.stop.set()

    scene.watcher = Watcher(lambda: scene.source, emit, clock=lambda: scene.time)
    scene.watcher.run(scene.stop)
    assert pauses[:7] == [0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0]
    assert pauses[7] == watcher.PAUSES[0], "what answered once is asked again soon"
    assert scene.leaders[0] == "a-2" and scene.leaders[-1] == "a-3"
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 2, "once for each time that it went away"


LINE = {"result": {"header": {"revision": "9"}, "events": [
    {"kv": {"key": "L3BnL2EvbGVhZGVy", "value": "YS0y"}},
    {"type": "DELETE", "kv": {"key": "L3BnL2EvbGVhZGVy"}},
]}}  # fmt: skip


def test_a_line_of_etcds_stream() -> None:
    assert read_line(LINE) == Update(9, [(LEADER, "a-2"), (LEADER, None)])
    assert read_line({"result": {"header": {"revision": "9"}, "created": True}}) == Update(9, [])


@pytest.mark.parametrize(
    ("line", "error", "text"),
    [
        ({"result": {"canceled": True, "compact_revision": "7"}}, Gap, "before 7"),
        ({"result": {"canceled": True, "cancel_reason": "no leader"}}, EtcdError, "no leader"),
        ({"error": {"message": "permission denied"}}, EtcdError, "permission denied"),
    ],
)
def test_a_stream_that_is_broken_off_says_why(
    line: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        read_line(line)
