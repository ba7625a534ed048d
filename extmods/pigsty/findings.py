"""What validation says: findings, each with its place in the inventory file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One error or warning about an inventory.

    Attributes:
        severity: ``error`` keeps the inventory from being used; ``warning`` doesn't.
        path: dotted path of the key, for example ``all.children.pg-test.hosts.10.10.10.11.pg_seq``.
        line: line in the file, counted from 1, or None.
        message: what is wrong.
        hint: what would be right.
    """

    severity: Severity
    path: str
    line: int | None
    message: str
    hint: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the finding as plain data with the keys severity, path, line, message, hint."""
        return asdict(self)


def has_errors(findings: Iterable[Finding]) -> bool:
    """Return True if any of the findings is an error."""
    return any(finding.severity == "error" for finding in findings)
