"""A pytest plugin of this repository's own tests: what Salt and pytest don't expect of each other.

Salt puts an import hook of the old protocol (``find_module`` only) in front of ``sys.meta_path``.
Python passes over such a hook; pytest's importlib mode calls its ``find_spec`` and fails.
"""

from __future__ import annotations

import logging
import sys

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Give every hook that lacks ``find_spec`` one that finds nothing."""
    for hook in sys.meta_path:
        if not hasattr(hook, "find_spec"):
            setattr(type(hook), "find_spec", lambda *_: None)  # noqa: B010


def pytest_unconfigure() -> None:
    """Let Salt's last words pass in silence.

    At its exit it writes the records that it kept for a console which pytest has closed by then,
    and Python would print a traceback about each of them.
    """
    logging.raiseExceptions = False
