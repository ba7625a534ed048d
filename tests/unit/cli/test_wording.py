"""Numbers in sentences: one thing and several, sizes, times."""

from __future__ import annotations

import pytest

from pigsty.wording import counted, lasted, sized, took


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 errors"), (1, "1 error"), (2, "2 errors"), (21, "21 errors")]
)
def test_a_number_of_things(number: int, text: str) -> None:
    assert counted(number, "error") == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (2048, "2.0 KiB"), (2**30 * 3 // 2, "1.5 GiB"),
     (2**50 * 3, "3072.0 TiB")],
)  # fmt: skip
def test_bytes_as_a_person_reads_them(size: int, text: str) -> None:
    assert sized(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119.4, "119 s"), (120, "2 min"), (3599, "59 min"), (3600, "1 h 00 min"),
     (43500, "12 h 05 min")],
)  # fmt: skip
def test_a_time_as_a_person_reads_it(seconds: float, text: str) -> None:
    assert lasted(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.44, "0.4 s"), (10.4, "10 s"), (725, "12 min")])
def test_what_has_ended_took_so_long(seconds: float, text: str) -> None:
    assert took(seconds) == text
