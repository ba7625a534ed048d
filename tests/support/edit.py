"""The inventory of the running system, edited as a person would, and put back afterwards."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import yaml

#: The inventory that the Salt master serves.
PIGSTY = "/etc/pigsty/pigsty.yml"


class Inventory:
    """`/etc/pigsty/pigsty.yml` on the admin node, and the applies that follow an edit of it.

    Args:
        admin: the admin node (``run`` runs a command there).
    """

    def __init__(self, admin: Any) -> None:
        self._admin = admin
        code, self._text, err = admin.run(["cat", PIGSTY])
        assert code == 0, err
        self._applied: set[tuple[str, ...]] = set()

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the inventory; every edit begins with what stands in the file now.

        Args:
            change: takes the loaded file and changes it in place.
        """
        _code, text, _err = self._admin.run(["cat", PIGSTY])
        document = yaml.safe_load(text)
        change(document)
        self._write(yaml.safe_dump(document, sort_keys=False))

    def cluster(self, name: str, **variables: Any) -> None:
        """Set variables of a cluster (the group of that name)."""
        values = copy.deepcopy(variables)
        self.edit(lambda document: document["all"]["children"][name]["vars"].update(values))

    def apply(self, *words: str) -> dict[str, list[str]]:
        """Run `pigsty apply`; return the ids of the states that changed something, by host."""
        self._applied.add(words)
        command = ["pigsty", "apply", *words, "--yes", "-o", "json"]
        code, out, err = self._admin.run(command, timeout=1200)
        assert code == 0, out + err
        return {row["host"]: [c["id"] for c in row["changes"]] for row in json.loads(out)}

    def unchanged(self, *words: str) -> bool:
        """Whether another apply changes nothing."""
        return not any(self.apply(*words).values())

    def undo(self) -> None:
        """Put back the file as it was found."""
        self._write(self._text)

    def restore(self) -> None:
        """Put back the file as it was found, and apply it to whatever was applied meanwhile."""
        self.undo()
        for words in sorted(self._applied):
            self.apply(*words)

    def _write(self, text: str) -> None:
        code, _out, err = self._admin.run(["tee", PIGSTY], stdin=text)
        assert code == 0, err
