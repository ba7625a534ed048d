"""The whole chain, from a key in a real etcd over Salt's bus to a line in the journal."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forged
import msgpack
import pytest
from chain import START, Chain
from daemons import until

from pigsty.clients.etcd import Etcd
from pigsty.events import Hint
from pigsty.journal import Entry

#: Seconds from a change to its line in the journal, and until many are written down.
FOLLOWED, MANY = 30.0, 240.0
#: Events that come at once; `tests/bench/bench_events.py` does it with a thousand.
BURST = 200


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with tempfile.TemporaryDirectory(prefix="chain-", dir="/tmp") as folder:
        found = Chain(Path(folder))
        try:
            found.root = found.start()  # type: ignore[attr-defined]
            yield found
        finally:
            found.stop()


@pytest.fixture
def root(chain: Chain) -> Etcd:
    """Who writes to etcd as Patroni does; a-1 leads, and nothing is left to react to."""
    found: Etcd = chain.root  # type: ignore[attr-defined]
    chain.etcd.put(found, "/pg/a/leader", "a-1")
    until("a-1 was dealt with", lambda: chain.followed("a", "a-1"), START)
    until("nothing waits", chain.idle, FOLLOWED)
    return found


def _after(chain: Chain, last: int) -> list[Entry]:
    return [entry for entry in chain.entries() if entry.id > last]


def test_a_change_of_the_leader_becomes_a_line_that_says_what_was_done(
    chain: Chain, root: Etcd
) -> None:
    last = len(chain.entries())
    chain.etcd.delete(root, "/pg/a/leader")
    chain.etcd.put(root, "/pg/a/leader", "a-2")
    until("it is followed", lambda: chain.followed("a", "a-2"), FOLLOWED)
    # The last changes by which the chain was tried out may still be told.
    entry = next(entry for entry in _after(chain, last) if entry.hint.subject == "a")
    assert entry.hint == Hint(
        "pgsql.leader", "a", "master", {"cluster": "a", "leader": "a-2", "previous": "a-1"}
    )
    assert entry.reaction is not None
    # All of its machines are away, and the infra node, which serves its name.
    absent = "127.0.0.9, 127.1.0.1, 127.1.0.2"
    assert entry.reaction.outcome == f"a-2 leads a; {absent} will follow when connected"


def test_an_engine_that_was_killed_tells_what_happened_meanwhile(chain: Chain, root: Etcd) -> None:
    engine = chain.engine("pigsty_dcs")
    assert engine is not None
    os.kill(engine, signal.SIGKILL)
    chain.etcd.put(root, "/pg/a/leader", "a-2")
    until("it is followed", lambda: chain.followed("a", "a-2"), START)
    assert chain.engine("pigsty_dcs") != engine


def test_a_worker_that_was_killed_is_replaced_and_goes_on(chain: Chain, root: Etcd) -> None:
    worker = chain.engine("pigsty_worker")
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    chain.etcd.put(root, "/pg/a/leader", "a-2")
    until("it is followed", lambda: chain.followed("a", "a-2"), START)


def test_each_forged_event_on_the_bus_leaves_one_line_and_changes_nothing(
    chain: Chain, root: Etcd
) -> None:
    last = len(chain.entries())
    sent = [event for event in forged.corpus() if _carried(event)]
    assert len(sent) >= 100
    with chain.bus() as bus:
        for event in sent:
            assert bus.fire_event(event.event, event.tag)
    until("each has a line", lambda: len(_after(chain, last)) >= len(sent), MANY)
    until("nothing waits", chain.idle, FOLLOWED)
    told = _after(chain, last)
    assert len(told) == len(sent)
    assert sum(bool(entry.refused) for entry in told) == sum(bool(event.refused) for event in sent)
    assert {e.reaction.state for e in told if e.reaction} == {"done"}
    assert chain.followed("a", "a-1") and chain.followed("b", "b-1")


def _carried(event: forged.Forged) -> bool:
    """Whether a reactor is meant by its tag, and Salt's encoder takes it."""
    known = event.tag.startswith("pigsty/pgsql/") and event.tag.endswith(("/leader", "/member"))
    return known and len(event.tag) < 1000 and _encodes(event.data)


def _encodes(value: Any) -> bool:
    try:
        text = msgpack.packb(value, use_bin_type=True)
        return bool(msgpack.unpackb(text, raw=False, strict_map_key=False) == value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False


def test_a_burst_is_one_reaction_for_each_truth_and_the_last_leader_counts(
    chain: Chain, root: Etcd
) -> None:
    last, moves = len(chain.entries()), 1
    with chain.bus() as bus:
        for number in range(BURST):
            name = "ab"[number % 2]
            if number % 30 == 0:
                chain.etcd.put(root, "/pg/a/leader", f"a-{1 + number // 30 % 2}")
                moves += 1
            claim = {"cluster": name, "leader": f"{name}-{number % 3}"}
            bus.fire_event(claim, f"pigsty/pgsql/{name}/leader")
    chain.etcd.put(root, "/pg/a/leader", "a-2")
    until("all are written down", lambda: len(_after(chain, last)) >= BURST, MANY)
    until("the last leader is followed", lambda: chain.followed("a", "a-2"), FOLLOWED)
    until("nothing waits", chain.idle, FOLLOWED)
    told = _after(chain, last)
    done = {e.reaction.id: e.reaction for e in told if e.reaction}
    assert {reaction.state for reaction in done.values()} == {"done"}
    subjects = [reaction.subject for reaction in done.values()]
    assert subjects.count("b") == 1, "nothing happened to it: all of its hints are one reaction"
    assert subjects.count("a") <= moves, "each leader that it had is followed once"
    assert not [e for e in told if e.reaction is None]
