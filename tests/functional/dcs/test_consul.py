"""The watch over a real Consul: nothing is missed, and what is wrong is one clear error."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import Consul, until

from pigsty.clients.consul import Address, ConsulError, ConsulStore
from pigsty.clients.store import Gap, Source
from pigsty.deadlines import DEADLINES
from pigsty.views import Change
from pigsty.watcher import Watcher

#: Seconds within which a change is told; the goal of the whole way to the bus is 0.3.
TOLD = 5.0


@pytest.fixture(scope="module")
def consul() -> Iterator[Consul]:
    with tempfile.TemporaryDirectory(prefix="consul-") as folder:
        found = Consul(Path(folder))
        found.start()
        try:
            yield found
        finally:
            found.daemon.stop()


@pytest.fixture
def token(consul: Consul) -> Iterator[str]:
    """A cluster that a-1 leads, and who may read it."""
    consul.put("pg/a/leader", "a-1")
    consul.put("pg/a/members/a-1", '{"state": "running", "role": "primary", "timeline": 1}')
    yield consul.token("pg/")
    consul.delete("pg/", recurse=True)


Watching = tuple[list[Change], Callable[[], list[str]]]


@pytest.fixture
def watching(consul: Consul, token: str) -> Iterator[Watching]:
    """A watcher that runs, and what it has told."""
    told: list[Change] = []
    stop, ready = threading.Event(), threading.Event()

    class Store(ConsulStore):
        def read(self, prefix):  # type: ignore[no-untyped-def]
            found = super().read(prefix)
            ready.set()
            return found

    address = Address(consul.url, token)
    watcher = Watcher(lambda: Source(Store(address), "/pg/"), told.append)
    thread = threading.Thread(target=watcher.run, args=(stop,), daemon=True)
    thread.start()
    assert ready.wait(TOLD)
    yield told, lambda: [c.data["leader"] for c in told if c.kind == "leader"]
    stop.set()
    consul.put("pg/a/status", "wake up")
    thread.join(TOLD)
    assert not thread.is_alive()


def test_a_snapshot_holds_all_keys_with_the_slash_that_etcds_have(
    consul: Consul, token: str
) -> None:
    snapshot = ConsulStore(Address(consul.url, token)).read("/pg/")
    assert dict(snapshot.pairs)["/pg/a/leader"] == "a-1"
    assert snapshot.revision > 0


def test_a_failover_and_a_new_member_are_told_once(consul: Consul, watching: Watching) -> None:
    told, leaders = watching
    consul.delete("pg/a/leader")
    consul.put("pg/a/leader", "a-2")
    consul.put("pg/a/members/a-2", '{"state": "running"}')
    until("both are told", lambda: len(told) >= 2, TOLD)
    assert leaders() == ["a-2"]
    assert [c.data["member"] for c in told if c.kind == "member"] == ["a-2"]
    consul.put("pg/a/status", "7")
    consul.put("pg/a/leader", "a-3")
    until("the next is told", lambda: leaders() == ["a-2", "a-3"], TOLD)
    assert len(told) == 3


def test_a_restart_of_the_agent_loses_nothing(consul: Consul, watching: Watching) -> None:
    _told, leaders = watching
    consul.daemon.stop()
    consul.start()
    consul.put("pg/a/leader", "a-2")
    until("the change is told", lambda: leaders() == ["a-2"], 20)
    consul.put("pg/a/leader", "a-1")
    until("so is the next", lambda: leaders() == ["a-2", "a-1"], TOLD)


def test_an_agent_that_hangs_is_waited_for(consul: Consul, watching: Watching) -> None:
    _told, leaders = watching
    consul.daemon.freeze()
    consul.daemon.thaw()
    consul.put("pg/a/leader", "a-2")
    until("the change is told", lambda: leaders() == ["a-2"], 20)


def test_an_index_that_went_back_is_a_gap(
    consul: Consul, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A query for a later index than there is waits to its end, which is a minute otherwise.
    monkeypatch.setattr("pigsty.clients.consul.DEADLINES", {**DEADLINES, "dcs.resync": 1.0})
    store = ConsulStore(Address(consul.url, token))
    revision = store.read("/pg/").revision
    ahead = store.watch("/pg/", revision + 1_000_000)
    with pytest.raises(Gap, match="its index went from"):
        next(ahead)


def test_a_wrong_token_is_one_clear_error_without_the_token(consul: Consul) -> None:
    wrong = "11111111-2222-3333-4444-555555555555"
    with pytest.raises(ConsulError, match="refuses the token to read /pg/") as error:
        ConsulStore(Address(consul.url, wrong)).read("/pg/")
    assert wrong not in str(error.value)
    assert consul.url in str(error.value)


def test_a_token_of_the_environment_doesnt_win(
    consul: Consul, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "11111111-2222-3333-4444-555555555555")
    assert ConsulStore(Address(consul.url, token)).read("/pg/").pairs


def test_nobody_there_is_one_clear_error() -> None:
    with pytest.raises(
        ConsulError, match=r"Consul http://127\.0\.0\.1:1 doesn't answer: .*refused$"
    ):
        ConsulStore(Address("http://127.0.0.1:1")).read("/pg/")
