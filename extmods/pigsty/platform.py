"""What differs between operating systems: packages, paths, units, uids. Data, not code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pigsty.errors import PillarError

#: ``pillar/os/<system>/<module>.yml``; each file holds ``packages`` (alias to names) and free keys.
DIRECTORY = Path(__file__).resolve().parents[2] / "pillar" / "os"
#: The reference platform, used where the machine's own isn't known yet.
REFERENCE = "debian-13"


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system as the states need to know it.

    Attributes:
        name: ``<system>-<major>``, for example ``debian-13``.
        modules: the data of each module, by its lower-case name.
    """

    name: str
    modules: Mapping[str, Mapping[str, Any]]

    def packages(self, tokens: Iterable[str], pg_version: int | None = None) -> list[str]:
        """Resolve package names and aliases to the distribution's package names.

        Args:
            tokens: names or aliases; one entry may hold several, apart by blanks or commas.
            pg_version: major version of PostgreSQL, put for ``$v`` and ``${pg_version}``.

        Returns:
            The names in order, each once. What is no alias stands for itself.
        """
        aliases: dict[str, list[str]] = {}
        for data in self.modules.values():
            aliases.update(data.get("packages", {}))
        names: dict[str, None] = {}
        for token in (t for entry in tokens for t in entry.replace(",", " ").split()):
            for name in aliases.get(token, [token]):
                if pg_version is not None:
                    name = name.replace("${pg_version}", str(pg_version))
                    name = name.replace("$v", str(pg_version))
                names[name] = None
        return list(names)


@cache
def load(name: str = REFERENCE, directory: Path = DIRECTORY) -> Platform:
    """Read the data of one operating system; kept for the life of the process.

    Raises:
        PillarError: the system isn't supported; the text lists those that are.
    """
    folder = directory / name
    if not folder.is_dir():
        known = ", ".join(sorted(entry.name for entry in directory.iterdir() if entry.is_dir()))
        raise PillarError(f"operating system {name!r} is not supported; supported are: {known}")
    modules = {
        file.stem: yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader) or {}
        for file in sorted(folder.glob("*.yml"))
    }
    return Platform(name=name, modules=modules)


def of_grains(grains: Mapping[str, Any]) -> Platform:
    """Return the platform of a minion by its ``os`` and ``osmajorrelease`` grains.

    Without grains (a preview on the command line) the reference platform is returned.
    """
    if "os" not in grains:
        return load()
    return load(f"{str(grains['os']).lower()}-{grains.get('osmajorrelease', '')}")
