"""Data that come back need room: what is refused before anything is touched, and what isn't."""

from __future__ import annotations

import pytest

from pigsty import room

GIB = 2**30


def test_a_copy_needs_room_for_its_wal_too():
    assert room.copy("/pg", 10 * GIB, 12 * GIB) == ""
    assert room.copy("/pg", 10 * GIB, 11 * GIB) == "/pg has 11.0 GiB free, the copy needs 12.0 GiB"


@pytest.mark.parametrize(
    ("free", "own"),
    [
        (GIB, 9 * GIB),  # a disk that is full to nine tenths takes its own data back
        (0, 10 * GIB),
        (10 * GIB, 0),  # a member without data
    ],
)
def test_in_place_only_what_surely_cant_work_is_refused(free, own):
    assert room.place("/pg/data", 10 * GIB, free, own) == ""
    refused = room.place("/pg/data", 10 * GIB + 1, free, own)
    assert "/pg/data" in refused and "the backup needs 10.0 GiB" in refused


def test_a_repository_without_room_for_a_segment_is_full():
    assert room.archive("/pg/backup", room.SEGMENT) == ""
    said = room.archive("/pg/backup", room.SEGMENT - 1)
    assert "(/pg/backup) is full: 16.0 MiB free" in said and "Make room" in said


def test_a_full_disk_is_known_by_the_programs_words():
    assert room.full("ERROR: [082]: unable to write '/b': [28] No space left on device")
    assert room.full("unable to write '/b': [122] Disk quota exceeded")
    assert not room.full("unable to open '/b': [13] Permission denied")
