"""The one shape of a state: read, compare, (test?), write, read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pigsty.errors import PigstyError


def converge(
    name: str,
    subject: str,
    plan: Callable[[], dict[str, Any]],
    act: Callable[[dict[str, Any]], None],
    *,
    test: bool,
    errors: tuple[type[Exception], ...] = (),
) -> dict[str, Any]:
    """Run a state and return what Salt wants to know of it.

    Args:
        name: the state's name.
        subject: what the state is about, for the comment: ``the time zone``.
        plan: reads the machine and returns the changes that are due; it changes nothing.
        act: makes the changes that ``plan`` returned.
        test: only say what would be done.
        errors: exceptions besides :class:`PigstyError` that mean "failed", with a text for a
            person.

    Returns:
        ``name``, ``result``, ``comment`` and ``changes``. The changes are those of ``plan`` with
        and without ``test``. When ``plan`` still finds something after ``act``, the state has
        failed.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    expected: tuple[type[Exception], ...] = (PigstyError, *errors)
    try:
        changes = plan()
        if not changes:
            return {**ret, "comment": f"{subject}: as declared"}
        ret["changes"] = changes
        if test:
            return {**ret, "result": None, "comment": f"{subject}: would be changed"}
        act(changes)
        left = plan()
    except expected as error:
        return {**ret, "result": False, "comment": f"{subject}: {error}"}
    if left:
        keys = ", ".join(sorted(left))
        return {**ret, "result": False, "comment": f"{subject}: still different afterwards: {keys}"}
    return {**ret, "comment": f"{subject}: changed"}
