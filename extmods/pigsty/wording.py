"""How numbers stand in sentences."""

from __future__ import annotations

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def counted(number: int, noun: str) -> str:
    """Return a number of things, for example "1 error" or "3 errors".

    Args:
        number: how many.
        noun: what, in the singular; its plural ends in an s.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(count: float) -> str:
    """Return a number of bytes as a person reads it: ``1.2 GiB``."""
    for unit in _BYTES[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_BYTES[-1]}"
