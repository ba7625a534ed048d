"""One thing is one thing, and all others are several."""

from __future__ import annotations

import pytest

from pigsty.wording import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 errors"), (1, "1 error"), (2, "2 errors"), (21, "21 errors")]
)
def test_a_number_of_things(number: int, text: str) -> None:
    assert counted(number, "error") == text
