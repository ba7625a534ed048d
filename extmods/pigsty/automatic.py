"""What a deployment does by itself, as `all.vars` of the inventory says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pigsty import catalogue
from pigsty.shape import Inventory


@dataclass(frozen=True, slots=True)
class Automatic:
    """What happens without a person.

    Attributes:
        apply: whether an edit of the inventory is applied.
        drift: seconds between two looks whether a host is as it was applied; 0 for never.
        pull: seconds between two pulls of the git work tree that the inventory stands in; 0 for
            never.
        heal: modules that are applied again where a host has drifted.
        journal: cluster and database (`pg-meta/meta`) that the journal is copied into; "" for none.
    """

    apply: bool = False
    drift: int = 0
    pull: int = 0
    heal: tuple[str, ...] = ()
    journal: str = ""

    @classmethod
    def of(cls, inventory: Inventory) -> Automatic:
        """Read the settings of an inventory, or their defaults."""
        return cls(
            apply=_value(inventory, "pigsty_auto_apply") is True,
            drift=int(_value(inventory, "pigsty_drift_interval") or 0),
            pull=int(_value(inventory, "pigsty_git_interval") or 0),
            heal=tuple(str(name).lower() for name in _value(inventory, "pigsty_self_heal") or ()),
            journal=str(_value(inventory, "pigsty_journal_database") or ""),
        )


def _value(inventory: Inventory, name: str) -> Any:
    # They are about the deployment as a whole, so a group's or a host's own mean nothing.
    variable = inventory.groups["all"].variables.get(name)
    return catalogue.load()[name].default if variable is None else variable.value
