"""How numbers stand in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number of things, for example "1 error" or "3 errors".

    Args:
        number: how many.
        noun: what, in the singular; its plural ends in an s.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
