"""A minor upgrade: who needs what, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pigsty.clients.patroni import Member
from pigsty.operations import OperationRefused, Snapshot
from pigsty.upgrading import Step, Upgrade, Version, upgrade

OLD, NEW = "17.5-1", "17.6-0+deb13u1"
BEHIND = Version(OLD, NEW, ("libpq5", "postgresql-17"), stale=False)
DONE = Version(NEW, NEW, (), stale=False)
#: Packages are new, and the server that runs is not.
HALF = replace(DONE, stale=True)


def _member(number: int, *, leader: bool = False, **more: object) -> Member:
    values = {
        "name": f"pg-{number}",
        "host": f"10.1.1.{number}",
        "port": 5432,
        "role": "leader" if leader else "replica",
        "state": "running" if leader else "streaming",
        "timeline": 1,
        "lag": None if leader else 0,
        "pending_restart": False,
        "tags": {},
    }
    return Member(**{**values, **more})  # type: ignore[arg-type]


def _cluster(*members: Member) -> Snapshot:
    return Snapshot("pg", members, frozenset(m.name for m in members), False, {})


THREE = _cluster(_member(1, leader=True), _member(2), _member(3))
ALL_BEHIND = dict.fromkeys(("pg-1", "pg-2", "pg-3"), BEHIND)


def _words(found: Upgrade) -> list[str]:
    return [f"{step.action} {step.member}" for step in found.steps]


def test_replicas_come_first_then_the_lead_moves_and_the_old_leader_comes_last() -> None:
    found = upgrade(THREE, ALL_BEHIND)
    assert _words(found) == [
        "packages pg-2", "restart pg-2", "packages pg-3", "restart pg-3",
        "switchover pg-2", "packages pg-1", "restart pg-1",
    ]  # fmt: skip
    assert found.sentences[0] == f"pg-2: 2 packages, PostgreSQL {OLD} → {NEW}"
    assert found.sentences[4].startswith("pg-1 hands the lead over to pg-2")


def test_after_an_interruption_it_goes_on_where_it_stopped() -> None:
    # pg-2 is through, pg-3 got its packages and was not restarted.
    found = upgrade(THREE, {"pg-1": BEHIND, "pg-2": DONE, "pg-3": HALF})
    assert _words(found) == ["restart pg-3", "switchover pg-2", "packages pg-1", "restart pg-1"]
    # The lead has moved already: the old leader is a replica now.
    moved = _cluster(_member(1), _member(2, leader=True), _member(3))
    found = upgrade(moved, {"pg-1": BEHIND, "pg-2": DONE, "pg-3": DONE})
    assert _words(found) == ["packages pg-1", "restart pg-1"]


def test_when_all_is_new_nothing_is_done() -> None:
    found = upgrade(THREE, dict.fromkeys(ALL_BEHIND, DONE))
    assert found.steps == () and found.sentences == (f"all members of pg run {NEW}",)


def test_a_cluster_of_one_restarts_in_place() -> None:
    found = upgrade(_cluster(_member(1, leader=True)), {"pg-1": BEHIND})
    assert found.steps == (Step("packages", "pg-1"), Step("restart", "pg-1"))


def test_nobody_who_may_never_lead_is_handed_the_lead() -> None:
    two = _cluster(_member(1, leader=True), _member(2, tags={"nofailover": True}))
    found = upgrade(two, {"pg-1": BEHIND, "pg-2": BEHIND})
    assert [step.action for step in found.steps] == ["packages", "restart"] * 2


@pytest.mark.parametrize(
    ("seen", "versions", "text"),
    [
        (replace(THREE, paused=True), ALL_BEHIND, "paused"),
        (_cluster(_member(2), _member(3)), ALL_BEHIND, "no healthy leader"),
        (replace(THREE, answering=frozenset({"pg-1", "pg-2"})), ALL_BEHIND, "pg-3: not healthy"),
        (THREE, {"pg-1": BEHIND, "pg-2": BEHIND}, "pg-3: not healthy, or its minion"),
    ],
)
def test_a_cluster_that_is_not_whole_is_left_alone(
    seen: Snapshot, versions: dict[str, Version], text: str
) -> None:
    with pytest.raises(OperationRefused, match=text):
        upgrade(seen, versions)


def test_what_a_machine_says_is_read() -> None:
    data = {"installed": OLD, "candidate": NEW, "newer": ["libpq5", "postgresql-17"],
            "stale": False}  # fmt: skip
    assert Version.from_dict(data) == BEHIND
