"""YAML to Inventory: hosts, groups, variables, and the line of every key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pigsty.findings import Finding


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as the inventory gives it, before templates are rendered.

    Attributes:
        value: the raw value, coerced to the declared type where YAML 1.1 misreads it.
        path: dotted path of the key in the file.
        line: line in the file, counted from 1.
    """

    value: Any
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the inventory: its own hosts and variables, and its place among the groups."""

    name: str
    hosts: tuple[str, ...]
    children: tuple[str, ...]
    parents: tuple[str, ...]
    priority: int
    variables: Mapping[str, Variable]
    path: str
    line: int


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
        ``ansible_group_priority``, then by name), then host vars. Override replaces and never merges.
        Names are canonical: an alias is entered under the current name.
        """
        raise NotImplementedError


def load(file: str | Path) -> Inventory:
    """Read an inventory; cached by (path, mtime, size, inode) within the process.

    Raises:
        InventoryError: the file can't be read as an inventory at all.
    """
    raise NotImplementedError
