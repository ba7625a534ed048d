"""What the journal says about reactions, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Seconds over which ended reactions and refused hints are counted.
WINDOW = 3600.0


@dataclass(frozen=True, slots=True)
class Ended:
    """Reactions of one kind that ended alike: how many, and how long they took, in seconds."""

    count: int
    average: float
    longest: float


@dataclass(frozen=True, slots=True)
class Tally:
    """What the journal says about reactions.

    Attributes:
        open: how many wait or run, by state.
        overdue: seconds that the one has waited which has been due longest; 0 for none.
        ended: those of the last hour, by kind and state.
        refused: hints of the last hour that nothing followed from.
    """

    open: Mapping[str, int] = field(default_factory=dict)
    overdue: float = 0.0
    ended: Mapping[tuple[str, str], Ended] = field(default_factory=dict)
    refused: int = 0
