"""Reading events of the bus: whatever is sent, a hint comes out that can be shown and stored."""

from __future__ import annotations

from typing import Any

import pytest

from pigsty import events

TAG = "pigsty/pgsql/pg-test/leader"


def sent(data: Any, sender: str = "10.10.10.11") -> dict[str, Any]:
    """As the bus has what a minion sent."""
    return {"id": sender, "cmd": "_minion_event", "tag": TAG, "data": data}


def test_what_the_master_itself_says() -> None:
    data = {"cluster": "pg-test", "leader": "pg-test-2", "previous": "pg-test-1", "timeline": 4}
    hint, problem = events.read(TAG, {**data, "_stamp": "2026-01-01"})
    assert problem == ""
    assert hint == events.Hint("pgsql.leader", "pg-test", "master", data)


def test_what_a_minion_says_carries_its_id() -> None:
    hint, problem = events.read(TAG, sent({"cluster": "pg-test", "leader": "pg-test-2"}))
    assert (hint.sender, problem) == ("10.10.10.11", "")


def test_a_minions_start_is_a_join_of_the_one_that_the_master_authenticated() -> None:
    started = sent("Minion 10.9.9.9 started at Sat Nov 21 07:02:49 2026", "10.10.10.12")
    hint, problem = events.read("salt/minion/10.9.9.9/start", started)
    assert (hint.kind, hint.subject, problem) == ("node.join", "10.10.10.12", "")


@pytest.mark.parametrize("act", ["pend", "denied", "reject"])
def test_a_key_that_was_not_taken_is_a_hint_by_the_masters_own_word(act: str) -> None:
    event = {"id": "10.9.9.9", "act": act, "result": False, "pub": "-----BEGIN", "_stamp": "x"}
    hint, problem = events.read("salt/auth", event)
    assert hint == events.Hint("node.key", "10.9.9.9", "master", {"act": act})
    assert problem == "" and not events.idle("salt/auth", event)


def test_a_key_that_was_taken_and_one_that_was_accepted_say_nothing() -> None:
    assert events.idle("salt/auth", {"id": "10.1.1.1", "act": "accept", "result": True})
    assert events.idle("salt/key", {"id": "10.1.1.1", "act": "accepted", "result": True})
    assert not events.idle("salt/minion/x/start", {})


def test_a_deleted_key_is_a_leave() -> None:
    hint, problem = events.read("salt/key", {"id": "10.1.1.1", "act": "delete", "result": True})
    assert (hint.kind, hint.subject, problem) == ("node.leave", "10.1.1.1", "")


@pytest.mark.parametrize("tag", ["salt/auth", "salt/key"])
def test_minions_can_not_speak_for_the_master_about_keys(tag: str) -> None:
    for data in ({"act": "denied", "id": "10.1.1.2"}, {"act": "delete"}, "x"):
        assert events.idle(tag, sent(data))
        hint, problem = events.read(tag, sent(data))
        assert (hint.kind, problem) == (events.UNKNOWN, "no tag of ours")


@pytest.mark.parametrize(
    ("tag", "event", "problem"),
    [
        ("pigsty/other/x", {}, "no tag of ours"),
        ("pigsty/apply/node/begin", {}, "no tag of ours"),
        ("salt/job/1/new", {}, "no tag of ours"),
        ("salt/minion/x/start", {"id": 7}, "no tag of ours"),
        ("pigsty/pgsql/a b/leader", {}, "its tag names nothing that can be"),
        ("pigsty/pgsql/{{ 7*7 }}/leader", {}, "its tag names nothing that can be"),
        ("pigsty/pgsql/../leader", {}, "its tag names nothing that can be"),
        (TAG + "\n", {}, "no tag of ours"),
        (TAG, sent("text"), "its data is no mapping"),
        (TAG, [], "its data is no mapping"),
        (TAG, sent({"leader": ["x"]}), "its leader is no str"),
        (TAG, sent({"timeline": "3"}), "its timeline is no int"),
        (TAG, sent({"timeline": True}), "its timeline is no int"),
        (TAG, sent({"cluster": "pg-meta"}), "it names pg-test in its tag, pg-meta inside"),
    ],
)
def test_what_is_wrong_with_it_is_said(tag: str, event: Any, problem: str) -> None:
    hint, found = events.read(tag, event)
    assert found == problem
    assert hint.kind in events.FIELDS or hint.kind == events.UNKNOWN


def test_only_known_fields_are_kept_short_and_on_one_line() -> None:
    data = {
        "cluster": "pg-test",
        "leader": "x" * 1_000_000,
        "previous": "a\x1b[2J\nb",
        "password": "secret",
        "_stamp": "now",
    }
    hint, problem = events.read(TAG, sent(data))
    assert problem == ""
    assert set(hint.data) == {"cluster", "leader", "previous"}
    assert len(hint.data["leader"]) == events.TEXT_LENGTH
    assert hint.data["previous"] == "a [2J b"


def test_a_long_tag_is_cut_before_it_is_stored() -> None:
    hint, _problem = events.read("pigsty/" + "y" * 1_000_000, {})
    assert len(hint.subject) == events.TEXT_LENGTH


def test_a_moment_is_read_as_salt_writes_it_and_is_never_in_the_future() -> None:
    stamp = "2026-11-29T02:00:00.500000"
    told = events.trim("pigsty/pgsql/a/leader", {"cluster": "a", "_stamp": f"{stamp}+00:00"})
    moment = events.fired(told["stamp"], 2e9)
    assert moment == events.fired(stamp, 2e9) == 1795917600.5
    assert events.fired(stamp, 1000.0) == 1000.0
    # What a minion sent stands in `data`, and its word of the time is not looked at.
    forged = events.trim("pigsty/pgsql/a/leader", {"id": "x", "data": {"_stamp": stamp}})
    assert forged["stamp"] == "" and "_stamp" not in forged["data"]["data"]


@pytest.mark.parametrize("stamp", ["", "yesterday", 7, ["2026"], "9" * 500, "{{ x }}"])
def test_an_event_without_a_moment_counts_as_of_now(stamp: object) -> None:
    told = events.trim("pigsty/pgsql/a/leader", {"_stamp": stamp})
    assert events.fired(told["stamp"], 1234.5) == 1234.5
