"""Views of clusters from keys of the store, and what a difference between two of them is called."""

from __future__ import annotations

import json

import pytest

from pigsty import views
from pigsty.views import ClusterView, MemberView


def member(state: str = "running", role: str = "replica", timeline: int = 1) -> str:
    return json.dumps({"state": state, "role": role, "timeline": timeline, "xlog_location": 7})


CLUSTER = [
    ("/pg/a/config", "{}"),
    ("/pg/a/leader", "a-1"),
    ("/pg/a/members/a-1", member(role="primary", timeline=3)),
    ("/pg/a/members/a-2", member()),
    ("/pg/a/status", '{"optime": 1}'),
]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("/pg/a/leader", views.Key("a", "leader")),
        ("pg/a/leader", views.Key("a", "leader")),  # Consul's keys begin without a slash
        ("/pg/a/members/a-1", views.Key("a", "member", "a-1")),
        ("/pg/shard/0/leader", views.Key("shard:0", "leader")),
        ("/pg/shard/12/members/x-1", views.Key("shard:12", "member", "x-1")),
        ("/pg/a/status", None),
        ("/pg/a/members/", None),
        ("/pg//leader", None),
        ("/pg/leader", None),
        ("/other/a/leader", None),
        ("/pgx/a/leader", None),
    ],
)
def test_a_key_says_what_it_is_about(key: str, found: views.Key | None) -> None:
    assert views.parse_key("/pg/", key) == found


def test_the_views_of_a_store() -> None:
    view = views.read("/pg", CLUSTER)["a"]
    assert view.leader == view.last == "a-1"
    assert view.timeline == 3
    assert view.members["a-2"] == MemberView("running", "replica", 1)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"timeline": "x"}', '{"state": null}'])
def test_a_members_broken_value_is_no_reason_to_fall(text: str) -> None:
    assert views.read("/pg", [("/pg/a/members/a-1", text)])["a"].members["a-1"].timeline is None


def test_the_same_store_twice_is_no_change() -> None:
    assert views.changes(views.read("/pg", CLUSTER), views.read("/pg", CLUSTER)) == ()


def test_a_switchover_is_one_change_of_the_leader_though_the_key_was_gone_between() -> None:
    found = views.read("/pg", CLUSTER)
    before = dict(found)
    views.update(found, "/pg", "/pg/a/leader", None)
    assert views.changes(before, found) == ()
    gone = dict(found)
    views.update(found, "/pg", "/pg/a/leader", "a-2")
    (change,) = views.changes(gone, found)
    assert change.kind == "leader"
    assert change.data == {"cluster": "a", "leader": "a-2", "previous": "a-1", "timeline": 1}


def test_a_leader_that_comes_back_after_a_crash_has_changed_nothing() -> None:
    found = views.read("/pg", CLUSTER)
    before = dict(found)
    views.update(found, "/pg", "/pg/a/leader", None)
    views.update(found, "/pg", "/pg/a/leader", "a-1")
    assert views.changes(before, found) == ()


def test_members_come_leave_and_change_their_state() -> None:
    found = views.read("/pg", CLUSTER)
    before = dict(found)
    views.update(found, "/pg", "/pg/a/members/a-1", None)
    views.update(found, "/pg", "/pg/a/members/a-2", member(state="starting"))
    views.update(found, "/pg", "/pg/a/members/a-3", member())
    assert [(c.data["member"], c.data["change"]) for c in views.changes(before, found)] == [
        ("a-1", "leave"),
        ("a-2", "state"),
        ("a-3", "join"),
    ]


def test_another_wal_position_or_role_is_no_change_of_a_member() -> None:
    found = views.read("/pg", CLUSTER)
    before = dict(found)
    views.update(found, "/pg", "/pg/a/members/a-2", member(role="primary", timeline=9))
    assert views.changes(before, found) == ()


def test_a_cluster_whose_keys_are_gone_has_lost_its_members_and_no_leader_came() -> None:
    found = views.changes(views.read("/pg", CLUSTER), {})
    assert [(c.kind, c.data["change"]) for c in found] == [("member", "leave")] * 2


def test_a_new_cluster_has_its_first_leader() -> None:
    first = views.changes({}, views.read("/pg", CLUSTER))[0]
    assert first.data["previous"] == ""
    assert ClusterView().timeline is None
