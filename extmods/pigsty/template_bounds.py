"""Bounds on what a template may make: no value of an inventory can exhaust the machine.

jinja2's sandbox keeps templates away from the process; it doesn't keep them from making a text of
ten gigabytes. What can grow is measured here before it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jinja2 import pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context

#: Longest text or list that a template may make.
MAX_TEXT = 2**20
#: Rounds that all loops of one template may make together.
MAX_ROUNDS = 100_000
_MAX_POWER = 64
_MAX_INTEGER = 2**64
#: Methods whose result may be far larger than what they are given.
_GROWING = frozenset(
    ("ljust", "rjust", "center", "zfill", "expandtabs", "format", "format_map", "to_bytes")
)
#: Names of the filters that the compiler puts into every template, and of the budget of rounds.
BOUNDED, JOINED, BUDGET = "__bounded__", "__joined__", "__budget__"


@pass_context
def bounded(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    """Pass on what a loop runs over, until the template's rounds are used up."""
    budget = context.parent[BUDGET]
    for item in items:
        budget[0] -= 1
        if budget[0] < 0:
            raise SecurityError("its loops never seem to end")
        yield item


@pass_context
def bounded_range(context: Context, *args: int) -> range:
    """Return a range; its length counts as rounds, for filters run over it as loops do."""
    found, budget = range(*args), context.parent[BUDGET]
    if (found.stop - found.start) // found.step > budget[0]:  # its length may be no C integer
        raise SecurityError("the range is too large")
    budget[0] -= len(found)
    return found


def joined(parts: Iterable[Any]) -> str:
    """Return the parts of ``a ~ b`` as one text."""
    texts = [str(part) for part in parts]
    if sum(map(len, texts)) > MAX_TEXT:
        raise SecurityError("the result of ~ is too long")
    return "".join(texts)


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result would be huge.

    Raises:
        SecurityError: it would.
    """
    sizes = [len(x) for x in (left, right) if isinstance(x, str | list | tuple)]
    if operator == "*" and len(sizes) == 1:
        factor = right if isinstance(left, str | list | tuple) else left
        if isinstance(factor, int) and sizes[0] * factor > MAX_TEXT:
            raise SecurityError("the result of * is too long")
    elif operator == "*":
        if any(isinstance(x, int) and abs(x) > _MAX_INTEGER for x in (left, right)):
            raise SecurityError("the numbers are too large")
    elif operator == "+" and len(sizes) == 2 and sum(sizes) > MAX_TEXT:
        raise SecurityError("the result of + is too long")
    elif operator == "**" and isinstance(right, int | float) and abs(right) > _MAX_POWER:
        raise SecurityError("the exponent is too large")
    elif operator == "%" and isinstance(left, str) and re.search(r"\*|[0-9]{4,}", left):
        raise SecurityError("the width in the format is too large")


def check_call(function: Any, args: tuple[Any, ...]) -> None:
    """Refuse a call of a method whose result would be huge.

    Raises:
        SecurityError: it would.
    """
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if not isinstance(owner, str | int):
        return
    if name in _GROWING:
        raise SecurityError(f"the method {name} is not available")
    if name == "replace" and len(args) > 1:
        check_replace(str(owner), str(args[0]), str(args[1]))
    if name == "join" and args and isinstance(args[0], list | tuple):
        size = sum(len(str(item)) for item in args[0]) + len(str(owner)) * len(args[0])
        if size > MAX_TEXT:
            raise SecurityError("the result of join is too long")


def check_replace(text: str, old: str, new: str) -> None:
    """Refuse a replacement whose result would be huge.

    Raises:
        SecurityError: it would be.
    """
    if (text.count(old) if old else len(text) + 1) * len(new) + len(text) > MAX_TEXT:
        raise SecurityError("the result of replace is too long")


def refused(name: str, why: str) -> Callable[..., Any]:
    """Return a function that says why there is no such thing here."""

    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise SecurityError(f"{name} is not available: {why}")

    return refuse
