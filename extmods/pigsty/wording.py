"""How numbers stand in sentences."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
#: Up to so many seconds a tenth of one says something.
_QUICK = 10
#: Up to so many seconds each of them is told.
_PATIENT = 120


def counted(number: int, noun: str) -> str:
    """Return a number of things, for example "1 error" or "3 errors".

    Args:
        number: how many.
        noun: what, in the singular; its plural ends in an s.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def sized(size: int) -> str:
    """Return a number of bytes as a person reads it: "1.2 GiB".

    Args:
        size: bytes.
    """
    number = float(size)
    for unit in _UNITS[:-1]:
        if number < _STEP:
            return f"{number:.1f} {unit}" if unit != "B" else f"{size} B"
        number /= _STEP
    return f"{number:.1f} {_UNITS[-1]}"


def took(seconds: float) -> str:
    """Return how long something took that has ended: "0.4 s", and as :func:`lasted` from 10 s on.

    Args:
        seconds: how long, in seconds.
    """
    return f"{seconds:.1f} s" if seconds < _QUICK else lasted(seconds)


def lasted(seconds: float) -> str:
    """Return a time that passes as a person reads it: "90 s", "12 min", "3 h 05 min".

    Args:
        seconds: how long, in seconds.
    """
    if seconds < _PATIENT:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
