"""Whether a machine may become a minion, and what is missing there."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from pigsty.enrolment import SAYS, EnrolmentRefused, Facts, Wanted, steps

BARE = Facts(
    system="debian-13",
    machine="x86_64",
    python="3.13.5",
    systemd=True,
    address=True,
    room=10 * 2**30,
    salt="",
    id="",
    master="",
    public="",
    trusts="",
    active=False,
)
WANTED = Wanted(
    host="10.1.1.2",
    master="10.1.1.1",
    trusts="MASTER",
    known="",
    connected=False,
    salt="3008.4",
    python="3.13",
    machine="x86_64",
    systems=("debian-12", "debian-13"),
)
OURS = replace(
    BARE,
    salt="3008.4",
    id="10.1.1.2",
    master="10.1.1.1",
    public="OWN",
    trusts="MASTER",
    active=True,
)
KNOWN = replace(WANTED, known="OWN", connected=True)


def test_a_bare_machine_gets_everything_in_order() -> None:
    assert steps(BARE, WANTED) == ("salt", "files", "accept", "start")
    assert all(SAYS[step] for step in steps(BARE, WANTED))


def test_a_minion_of_ours_needs_nothing() -> None:
    assert steps(OURS, KNOWN) == ()
    assert steps(OURS, KNOWN, replace=True) == ()


@pytest.mark.parametrize(
    ("facts", "wanted", "expected"),
    [
        # A crash before the key was accepted: the half that is there is made anew.
        (replace(OURS, active=False), WANTED, ("files", "accept", "start")),
        # A crash before the start.
        (replace(OURS, active=False), replace(KNOWN, connected=False), ("start",)),
        # A crash in the middle of Salt.
        (replace(BARE, salt=""), WANTED, ("salt", "files", "accept", "start")),
        # An older Salt.
        (replace(OURS, salt="3008.3"), KNOWN, ("salt", "start")),
        # It runs, but never came through.
        (OURS, replace(KNOWN, connected=False), ("start",)),
        # It was told of another address of this master.
        (replace(OURS, master="10.1.1.9"), KNOWN, ("files", "accept", "start")),
    ],
)
def test_what_a_crash_left_is_completed(
    facts: Facts, wanted: Wanted, expected: tuple[str, ...]
) -> None:
    assert steps(facts, wanted) == expected


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"address": False}, "no address of the machine"),
        ({"system": "alpine-3"}, "alpine-3; supported are debian-12, debian-13"),
        ({"system": ""}, "unknown"),
        ({"systemd": False}, "systemd"),
        ({"python": "3.9.2"}, "3.9.2; Salt needs 3.11"),
        ({"python": "3.11.2"}, "the admin node's wheels are for 3.13"),
        ({"machine": "aarch64"}, "aarch64"),
        ({"room": 100 * 2**20}, "only 100 MiB"),
    ],
)
def test_a_machine_that_nothing_of_ours_runs_on_is_refused(
    change: dict[str, Any], text: str
) -> None:
    with pytest.raises(EnrolmentRefused, match=text):
        steps(replace(BARE, **change), WANTED, replace=True)


def test_salt_that_is_there_already_asks_for_no_wheels() -> None:
    other = replace(OURS, python="3.11.2", machine="aarch64", room=0)
    assert steps(other, KNOWN) == ()


def test_another_masters_minion_is_not_taken_away() -> None:
    theirs = replace(OURS, trusts="OTHER", master="10.9.9.9", public="X")
    with pytest.raises(EnrolmentRefused, match=r"another master \(10\.9\.9\.9\)"):
        steps(theirs, WANTED)
    assert steps(theirs, WANTED, replace=True) == ("files", "accept", "start")


def test_an_id_that_is_in_use_is_not_given_to_another_machine() -> None:
    with pytest.raises(EnrolmentRefused, match="another machine is connected"):
        steps(BARE, KNOWN)
    with pytest.raises(EnrolmentRefused, match="installed anew, say --replace"):
        steps(BARE, replace(KNOWN, connected=False))
    again = steps(BARE, replace(KNOWN, connected=False), replace=True)
    assert again == ("salt", "files", "accept", "start")


def test_what_a_machine_says_is_checked() -> None:
    assert Facts.from_dict(asdict(BARE)) == BARE
    answers: tuple[Any, ...] = (
        [],
        None,
        {},
        {**asdict(BARE), "room": "much"},
        {**asdict(BARE), "python": 3},
    )
    for broken in answers:
        with pytest.raises(EnrolmentRefused, match="answer"):
            Facts.from_dict(broken)
