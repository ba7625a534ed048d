"""What an inventory is made of: hosts, groups, variables, and the line of every key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pigsty.findings import Finding

_NONE: Mapping[tuple[str | int, ...], int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as the inventory gives it, before templates are rendered.

    Attributes:
        value: the raw value, coerced to the declared type where YAML 1.1 misreads it.
        path: dotted path of the key in the file.
        line: line in the file, counted from 1.
        lines: lines of the keys and items within the value, by their place, for example ``(0,
            "name")``.
    """

    value: Any
    path: str
    line: int
    lines: Mapping[tuple[str | int, ...], int] = field(
        default_factory=lambda: _NONE, compare=False, repr=False
    )

    def place(self, *keys: str | int) -> tuple[str, int]:
        """Return path and line of a part of the value, for example ``place(0, "name")``.

        The line is that of the nearest part that the file has, so a missing key shows its object.
        """
        path = self.path + "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys)
        for end in range(len(keys), 0, -1):
            if (line := self.lines.get(keys[:end])) is not None:
                return path, line
        return path, self.line


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the inventory: its own hosts and variables, and its place among the groups.

    ``depth`` is the longest way down from ``all`` (0); ``ancestors`` are the groups above and the
    group itself, in the order in which their variables are applied.
    """

    name: str
    hosts: tuple[str, ...]
    children: tuple[str, ...]
    parents: tuple[str, ...]
    priority: int
    variables: Mapping[str, Variable]
    path: str
    line: int
    depth: int = 0
    ancestors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """A host of the inventory (the key is its IP address, which is also the minion id)."""

    ip: str
    groups: tuple[str, ...]
    variables: Mapping[str, Variable]
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """A parsed inventory.

    Attributes:
        file: where it was read.
        checksum: SHA-256 of the file's bytes, hexadecimal.
        hosts: by IP address, in the order of the file.
        groups: by name, in the order of the file; ``all`` is among them.
        findings: what parsing noticed (duplicate keys, unknown top-level keys …).
    """

    file: str
    checksum: str
    hosts: Mapping[str, Host]
    groups: Mapping[str, Group]
    findings: tuple[Finding, ...]

    def variables(self, host: str) -> Mapping[str, Variable]:
        """Return the host's own variables merged by precedence (without catalogue defaults).

        Precedence: ``all.vars``, then group vars (parents before children, then by
        ``ansible_group_priority``, then by name), then host vars. Override replaces and never
        merges. Names are canonical: an alias is entered under the current name.
        """
        merged: dict[str, Variable] = {}
        for name in self.chain(self.hosts[host].groups):
            merged.update(self.groups[name].variables)
        merged.update(self.hosts[host].variables)
        return merged

    def chain(self, groups: tuple[str, ...]) -> list[str]:
        """Return these groups and all above them, in the order in which their variables apply."""
        names = {name for group in groups for name in self.groups[group].ancestors}
        return sorted(names, key=lambda name: _rank(self.groups[name]))


def _rank(group: Group) -> tuple[int, int, str]:
    """Return the sort key of a group: parents before children, then by priority, then by name."""
    return group.depth, group.priority, group.name
