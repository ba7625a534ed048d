"""Validation of an inventory: every error and warning at once, each with its place and a hint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pigsty import catalogue, topology
from pigsty.errors import InventoryError, PillarError
from pigsty.findings import Finding
from pigsty.rules import RULES
from pigsty.rules.context import Context
from pigsty.topology import Topology

#: How the finding about a rule that failed itself begins; tests look for it.
DEFECT = "a defect of pigsty, not of the inventory, in the rule"
HELP = "please report it together with the inventory"
#: What may be an address or a name in a message.
WORD = re.compile(r"[\w.:-]*\w")
_CACHE: dict[str, tuple[Topology, tuple[Finding, ...]]] = {}


def validate(file: str | Path) -> tuple[Finding, ...]:
    """Return everything that is wrong with an inventory, in the order of its lines.

    The result is kept as long as the file stays as it is (see :func:`pigsty.topology.load`), so
    that a master that compiles many pillars validates once.

    Args:
        file: the inventory.

    Returns:
        The findings, each once. What keeps the file from being read at all is one of them:
        this function raises nothing on account of the file.
    """
    return _checked(file)[1]


def usable(file: str | Path) -> Topology:
    """Return what an inventory declares, if it has no errors.

    Whoever uses an inventory takes its topology from here: read once more after a validation, the
    file might be another.

    Args:
        file: the inventory.

    Raises:
        PillarError: the inventory has errors; the text names the first one.
    """
    found, findings = _checked(file)
    errors = [finding for finding in findings if finding.severity == "error"]
    if found is None or errors:
        raise PillarError(refusal(file, errors))
    return found


def _checked(file: str | Path) -> tuple[Topology | None, tuple[Finding, ...]]:
    """Return a topology (None if the file can't be read as one) and the findings about it."""
    try:
        found = topology.load(file)
    except InventoryError as error:
        return None, (Finding("error", error.path, error.line, error.message, error.hint),)
    known = _CACHE.get(str(file))
    if known is None or known[0] is not found:
        known = _CACHE[str(file)] = (found, check(found))
    return known


def refusal(file: str | Path, errors: Sequence[Finding]) -> str:
    """Return the one line that says why an inventory with errors isn't used."""
    first = errors[0]
    count = "an error" if len(errors) == 1 else f"{len(errors)} errors, the first"
    line = f" in line {first.line}" if first.line else ""
    path = f"{first.path}: " if first.path else ""
    return (
        f"the inventory {file} has {count}{line}: {path}{first.message}; "
        f"`pigsty validate {file}` shows all"
    )


def check(found: Topology) -> tuple[Finding, ...]:
    """Return the findings of every rule about a topology, and those of reading its file."""
    ctx = Context(found, catalogue.load())
    findings: list[Finding] = list(found.inventory.findings)
    for rule in RULES:
        try:
            findings.extend(rule(ctx))
        except Exception as error:  # a rule that stumbles must not hide what the others found
            name = f"{rule.__module__.rpartition('.')[2]}.{rule.__name__}"
            findings.append(Finding("error", "", None, f"{DEFECT} {name}: {error!r}", HELP))
    names = {node.name for node in found.nodes.values()} | {n.cluster for n in found.nodes.values()}
    return _in_order(_once(findings, frozenset(names | set(found.nodes))))


def _once(findings: Iterable[Finding], names: frozenset[str]) -> list[Finding]:
    """Return findings each once, however many hosts or clusters share the line that they are about.

    What a variable of ``all.vars`` does to a thousand hosts is one mistake, so of findings with the
    same place that differ only in the names of hosts and clusters, the first stands for all.
    """
    groups: dict[tuple[str, int | None, str], list[Finding]] = {}
    for finding in findings:
        blank = WORD.sub(lambda word: "*" if word[0] in names else word[0], finding.message)
        alike = groups.setdefault((finding.path, finding.line, blank), [])
        if finding not in alike[-1:]:
            alike.append(finding)
    return [
        replace(first, message=f"{first.message} (and {len(rest)} more like it)") if rest else first
        for first, *rest in groups.values()
    ]


def _in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings sorted by line."""
    return tuple(sorted(findings, key=lambda f: (f.line or 0, f.severity, f.path, f.message)))
