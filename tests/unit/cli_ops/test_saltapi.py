"""The parts of the Salt client that decide something."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pigsty.clients.minions import peers
from pigsty_cli import exitcodes, saltapi
from pigsty_cli.saltapi import Event, Master, Published, SaltError

# 10.10.10.10:4505: a listener, an established peer (.11), one that is closing, another port.
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 00000000:1199 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 0A0A0A0A:1199 0B0A0A0A:D431 01 00000000:00000000 02:00000000 00000000     0
   2: 0A0A0A0A:1199 0C0A0A0A:D432 08 00000000:00000000 02:00000000 00000000     0
   3: 0A0A0A0A:119A 0D0A0A0A:D433 01 00000000:00000000 02:00000000 00000000     0
"""
TCP6 = """  sl  local_address                         remote_address                        st
   0: 0000000000000000FFFF00000A0A0A0A:1199 0000000000000000FFFF00000D0A0A0A:D434 01 00000000
"""


def test_only_established_connections_to_the_port_count() -> None:
    assert peers(TCP, 4505) == {"10.10.10.11"}


def test_an_address_mapped_into_ipv6_is_read() -> None:
    assert peers(TCP6, 4505) == {"10.10.10.13"}


def test_an_empty_table_is_nobody() -> None:
    assert peers(TCP.splitlines()[0], 4505) == frozenset()


def test_without_a_master_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(SaltError, match="pigsty init") as caught:
        Master(tmp_path / "master")
    assert caught.value.exit_code == exitcodes.REFUSED


@pytest.mark.parametrize(
    ("full", "said"),
    [
        ("", "the Salt master didn't take the job: it choked"),
        ("/var/cache/salt", "didn't take the job: no space left on device (/var/cache/salt)"),
    ],
)
def test_a_master_that_has_no_room_is_told_by_its_disk(
    monkeypatch: pytest.MonkeyPatch, full: str, said: str
) -> None:
    def choke(*_: Any, **__: Any) -> None:
        raise RuntimeError("it choked")

    master = object.__new__(Master)
    master._client = SimpleNamespace(pub=choke)
    monkeypatch.setattr(saltapi, "full_disks", lambda: full)
    with pytest.raises(SaltError) as caught:
        master.publish(["a"], "test.ping", [])
    assert said in str(caught.value)


def test_answers_to_several_questions_come_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        Event("salt/job/2/ret/b", {"id": "b", "return": "second"}),
        Event("salt/job/9/ret/a", {"id": "a", "return": "somebody else's"}),
        Event("salt/job/1/progress/a", {"id": "a", "return": "no return"}),
        Event("salt/auth", "no mapping"),
        None,
        Event("salt/job/1/ret/a", {"id": "a", "return": "first"}),
        Event("salt/job/2/ret/a", {"id": "a", "return": None}),
    ]
    master = object.__new__(Master)
    monkeypatch.setattr(Master, "next_event", lambda *_: events.pop(0))
    jobs = [Published("1", frozenset("a")), Published("2", frozenset("ab"))]
    assert master.collect_all(jobs, lambda _: 60.0) == [
        {"a": "first"},
        {"a": None, "b": "second"},
    ]
    assert events == [], "nothing more is waited for"


def test_each_minion_has_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def nothing(_master: Master, seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    now = [100.0]
    monkeypatch.setattr(saltapi.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Master, "next_event", nothing)
    master = object.__new__(Master)
    jobs = [Published("1", frozenset("ab"))]
    assert master.collect_all(jobs, {"a": 0.0, "b": 3.0}.__getitem__) == [{}]
    assert master.collect(jobs[0], lambda _: 0.0) == {}
    assert waited == [3.0]
