"""Tells on standard error what is being done and how long each step took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Prints one line for each step, and one more when it is done.

    On a terminal rich shows a spinner with the seconds so far; elsewhere the lines are plain, so
    that a log of CI reads well.

    Args:
        quiet: print nothing (a library call, a test).
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._begin = time.monotonic()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Announce a step and, when the block has ended without an error, its seconds."""
        if self._quiet:
            yield
            return
        begin = time.monotonic()
        if sys.stderr.isatty():
            from rich.console import Console  # slow to import, and of no use elsewhere

            with Console(stderr=True).status(text):
                yield
        else:
            print(f"…  {text}", file=sys.stderr, flush=True)  # noqa: T201
            yield
        self._line(f"{text} ({time.monotonic() - begin:.1f} s)")

    def note(self, text: str) -> None:
        """Print one line that is no step."""
        if not self._quiet:
            self._line(text)

    @property
    def elapsed(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self._begin

    def _line(self, text: str) -> None:
        print(f"✓  {text}", file=sys.stderr, flush=True)  # noqa: T201
