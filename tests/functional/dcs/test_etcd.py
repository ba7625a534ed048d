"""The watch over a real etcd of three members: members, majorities and revisions are lost."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import EtcdCluster, until

from pigsty.clients import cluster_keys
from pigsty.clients.cluster_keys import Inhabited
from pigsty.clients.etcd import Etcd, encode
from pigsty.clients.etcd_watch import EtcdStore
from pigsty.clients.store import Gap, Snapshot, Source
from pigsty.errors import ClientError
from pigsty.views import Change
from pigsty.watcher import Watcher

#: Seconds within which a change is told while etcd is well, and after it was not.
TOLD, RECOVERED = 5.0, 30.0
LEADER = "/pg/a/leader"


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdCluster]:
    with tempfile.TemporaryDirectory(prefix="etcd-") as folder:
        found = EtcdCluster(Path(folder), members=3)
        found.start()
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture
def root(etcd: EtcdCluster) -> Etcd:
    """Who writes, by the last member; a-1 leads."""
    found = etcd.root(2)
    etcd.put(found, LEADER, "a-1")
    return found


class Watch:
    """A watcher that runs, and what it has told."""

    def __init__(self, etcd: EtcdCluster) -> None:
        self.told: list[Change] = []
        self.store = etcd.store()
        self.stop = threading.Event()
        watcher = Watcher(lambda: Source(self.store, "/pg/"), self.told.append)
        self.thread = threading.Thread(target=watcher.run, args=(self.stop,), daemon=True)

    def quiet(self, leader: str) -> bool:
        """Whether the last that was told is this leader, and nothing more comes for a moment."""
        count = len(self.told)
        return not self.stop.wait(0.3) and self.leaders[-1:] == [leader] and len(self.told) == count

    @property
    def leaders(self) -> list[str]:
        return [change.data["leader"] for change in self.told if change.kind == "leader"]


@pytest.fixture
def watch(etcd: EtcdCluster, root: Etcd) -> Iterator[Watch]:
    found = Watch(etcd)
    found.thread.start()
    # A change that is told shows that the stream runs.
    until("the watch runs", lambda: _changes(etcd, root, found), TOLD)
    until("all is told", lambda: found.quiet("a-1"), TOLD)
    found.told.clear()
    yield found
    found.stop.set()
    etcd.put(root, "/pg/a/status", "wake up")
    found.thread.join(TOLD)
    assert not found.thread.is_alive()


def _changes(etcd: EtcdCluster, root: Etcd, watch: Watch) -> bool:
    for leader in ("a-0", "a-1"):
        etcd.put(root, LEADER, leader)
    return "a-1" in watch.leaders


def test_a_failover_is_told(etcd: EtcdCluster, root: Etcd, watch: Watch) -> None:
    etcd.delete(root, LEADER)
    etcd.put(root, LEADER, "a-2")
    until("it is told", lambda: watch.leaders == ["a-2"], TOLD)


def test_the_member_that_carries_the_watch_is_lost_and_nothing_with_it(
    etcd: EtcdCluster, root: Etcd, watch: Watch
) -> None:
    etcd.members[0].stop()
    try:
        until("another writes", lambda: etcd.put(root, LEADER, "a-2"), RECOVERED)
        until("it is told", lambda: watch.leaders == ["a-2"], RECOVERED)
    finally:
        etcd.members[0].start()
        until("three members are well", lambda: etcd.client(0).healthy(), RECOVERED)


def test_the_majority_is_lost_and_what_happens_when_it_is_back_is_told_once(
    etcd: EtcdCluster, root: Etcd, watch: Watch
) -> None:
    for member in etcd.members[:2]:
        member.stop()
    with pytest.raises(ClientError):
        etcd.put(root, LEADER, "a-2")
    assert watch.leaders == [], "nobody knows of anything while no majority does"
    for member in etcd.members[:2]:
        member.start()
    until("the majority is back", lambda: etcd.client(2).healthy(), RECOVERED)
    again = until("who writes may log in", lambda: etcd.root(2), RECOVERED)
    until("a write is taken", lambda: etcd.put(again, LEADER, "a-3"), RECOVERED)
    until("it is told", lambda: "a-3" in watch.leaders, RECOVERED)
    # Whether the write that was refused came through is etcd's to say; nothing is told twice.
    assert watch.leaders in (["a-3"], ["a-2", "a-3"])


def test_a_lease_that_ran_out_is_a_leader_lost_and_the_next_one_is_told(
    etcd: EtcdCluster, root: Etcd, watch: Watch
) -> None:
    lease = str(root.call("lease/grant", {"TTL": 2})["ID"])
    body = {"key": encode("/pg/b/leader"), "value": encode("b-1"), "lease": lease}
    root.call("kv/put", body)
    until("the first one is told", lambda: watch.leaders == ["b-1"], TOLD)
    gone = {"key": encode("/pg/b/leader"), "count_only": True}
    until("its lease ran out", lambda: not root.call("kv/range", gone).get("count"), 20)
    assert watch.leaders == ["b-1"], "while nobody leads there is nothing to follow"
    etcd.put(root, "/pg/b/leader", "b-2")
    until("the next one is told", lambda: watch.leaders == ["b-1", "b-2"], TOLD)


def test_revisions_that_are_compacted_are_a_gap(etcd: EtcdCluster, root: Etcd) -> None:
    store = etcd.store()
    begin = store.read("/pg/").revision
    etcd.put(root, LEADER, "a-2")
    last = etcd.put(root, LEADER, "a-3")
    root.call("kv/compaction", {"revision": str(last), "physical": True})
    with pytest.raises(Gap, match="were compacted"):
        list(store.watch("/pg/", begin))


def test_what_was_compacted_before_the_watch_began_is_told_all_the_same(
    etcd: EtcdCluster, root: Etcd
) -> None:
    told: list[Change] = []
    stop = threading.Event()

    class Late(EtcdStore):
        """Between its first read and its watch, a leader changes and the past is compacted."""

        reads = 0

        def read(self, prefix: str) -> Snapshot:
            found = super().read(prefix)
            Late.reads += 1
            if Late.reads == 1:
                etcd.put(root, LEADER, "a-4")
                last = etcd.put(root, "/pg/a/status", "1")
                root.call("kv/compaction", {"revision": str(last), "physical": True})
            else:
                stop.set()
            return found

    clients = [etcd.client(number) for number in range(3)]
    store = Late(clients, "pigsty_watch", "for-tests")
    watcher = Watcher(lambda: Source(store, "/pg/"), told.append)
    thread = threading.Thread(target=watcher.run, args=(stop,), daemon=True)
    thread.start()
    until("it is told", lambda: [c.data.get("leader") for c in told] == ["a-4"], TOLD)
    etcd.put(root, "/pg/a/status", "2")
    thread.join(TOLD)
    assert not thread.is_alive()


def test_the_watching_user_may_read_and_not_write(etcd: EtcdCluster) -> None:
    client = etcd.client()
    client.authenticate("pigsty_watch", "for-tests")
    with pytest.raises(ClientError, match="permission denied"):
        etcd.put(client, LEADER, "evil")


def test_a_wrong_password_is_one_clear_error(
    etcd: EtcdCluster, make: Callable[[str], EtcdStore]
) -> None:
    with pytest.raises(ClientError, match="authentication failed"):
        make("wrong").read("/pg/")


@pytest.fixture
def make(etcd: EtcdCluster) -> Callable[[str], EtcdStore]:
    return lambda password: EtcdStore([etcd.client()], "pigsty_watch", password)


def test_a_clusters_keys_go_once_nobody_lives_there_and_its_neighbours_stay(
    etcd: EtcdCluster, root: Etcd
) -> None:
    for name in ("d", "d2", "d/members/d-1", "d/members/d-2"):
        etcd.put(root, f"/pg/{name}" if "/" in name else f"/pg/{name}/config", "{}")
    etcd.put(root, "/pg/d/leader", "d-1")
    store = EtcdStore([root])
    assert cluster_keys.look(store, "d", "/pg/d/").leader == "d-1"
    cluster_keys.forget(store, "d", "/pg/d/", ["d-2"])
    assert [m.name for m in cluster_keys.look(store, "d", "/pg/d/").members] == ["d-1"]
    with pytest.raises(Inhabited, match="d-1 of d lives"):
        cluster_keys.forget(store, "d", "/pg/d/", [], whole=True)
    cluster_keys.forget_leader(store, "/pg/d/")
    cluster_keys.forget(store, "d", "/pg/d/", ["d-1"], whole=True)
    assert not cluster_keys.look(store, "d", "/pg/d/").exists
    assert [key for key, _ in store.read("/pg/d2/").pairs] == ["/pg/d2/config"]
