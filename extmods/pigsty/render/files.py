"""What renderers make: files as values, blocks in files that others own too, diffs for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: The first line of every whole file that is ours.
BANNER = "# Managed by Pigsty: edit pigsty.yml, not this file."
#: What a diff shows in place of a file that holds a secret.
HIDDEN = "<contents not shown: the file holds a secret>"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it shall be.

    Attributes:
        path: absolute path.
        contents: the whole text, or None when the file shall not exist.
        mode: permissions, octal digits such as ``0640``.
        user: owner's name.
        group: group's name.
        secret: whether contents must never be shown in a diff.
    """

    path: str
    contents: str | None
    mode: str = "0644"
    user: str = "root"
    group: str = "root"
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory as it shall be; it is made when it is not there, and never removed.

    Attributes:
        path: absolute path.
        mode: permissions, octal digits such as ``0755``.
        user: owner's name.
        group: group's name.
    """

    path: str
    mode: str = "0755"
    user: str = "root"
    group: str = "root"


def text(*lines: str) -> str:
    """Return the lines under our banner, as one text that ends with a newline."""
    return "\n".join((BANNER, *lines)) + "\n"


def diff(old: str | None, new: str | None, path: str, *, secret: bool = False) -> str:
    """Return the unified diff of two texts; None stands for a file that is not there.

    A secret file's diff says only that it differs.
    """
    if old == new:
        return ""
    if secret:
        return HIDDEN
    lines = difflib.unified_diff(
        (old or "").splitlines(),
        (new or "").splitlines(),
        fromfile="/dev/null" if old is None else path,
        tofile="/dev/null" if new is None else path,
        lineterm="",
    )
    # Two texts may differ in their last newline only, which this diff does not show.
    return "\n".join(lines) or "(end of file)"


def summary(change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's change with a word in place of its diff: ``made``, ``removed``, or neither.

    Args:
        change: what differs about one file; ``diff`` as :func:`diff` made it.
    """
    text = change.get("diff")
    if text is None:
        return dict(change)
    lines = text.splitlines()
    made = "made" if lines[:1] == ["--- /dev/null"] else ""
    gone = "removed" if lines[1:2] == ["+++ /dev/null"] else ""
    return {**change, "diff": made or gone or "other contents"}


def with_block(old: str, name: str, lines: Iterable[str], *, top: bool = False) -> str:
    """Return a text with our marked block set to the given lines; the rest is left as it is.

    Args:
        old: the text that others own too.
        name: the block's name, part of its markers.
        lines: what stands in the block; without any the block is removed.
        top: a new block goes before the text instead of after it.

    Returns:
        The text. A block that was cut off (its end marker is missing) is taken to end with the
        line of its begin marker, so that no line of somebody else is lost.
    """
    begin, end = f"# BEGIN pigsty {name}", f"# END pigsty {name}"
    rows = old.splitlines()
    place: int | None = None
    while begin in rows:
        first = rows.index(begin)
        last = rows.index(end, first) if end in rows[first:] else first
        place = first if place is None else place
        del rows[first : last + 1]
    block = list(lines)
    if block:
        if place is None:
            place = 0 if top else len(rows)
        rows[place:place] = [begin, *block, end]
    return "\n".join(rows) + "\n" if rows else ""


def block_lines(old: str, name: str) -> list[str]:
    """Return the lines of our marked block in a text, without its markers; empty without one."""
    begin, end = f"# BEGIN pigsty {name}", f"# END pigsty {name}"
    rows = old.splitlines()
    if begin not in rows:
        return []
    first = rows.index(begin)
    return rows[first + 1 : rows.index(end, first)] if end in rows[first:] else []
