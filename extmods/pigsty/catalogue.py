"""The parameter catalogue: every parameter's name, type, default, meaning and history.

The data stands in ``pillar/params/<module>.yml``, the one source from which the types, the
defaults, the JSON Schema for editors and the reference page come. ``pillar/params/objects.yml``
names the fields of the objects (users, databases, services …) that parameters hold.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from pigsty.errors import CatalogueError

#: Where the catalogue's files stand.
DIRECTORY = Path(__file__).resolve().parents[2] / "pillar" / "params"
#: The modules in the order in which they are applied and documented.
MODULES = ("infra", "node", "etcd", "minio", "redis", "pgsql")
_NONE: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the inventory.

    Attributes:
        name: the current name.
        module: ``INFRA``, ``NODE``, ``ETCD``, ``MINIO``, ``REDIS`` or ``PGSQL``.
        section: the section within the module, for example ``NODE_ID``.
        level: where it may be set, letters of ``G`` (global), ``C`` (cluster), ``I`` (instance);
            ``A`` marks an argument of one run.
        type: one of the type names of the catalogue, for example ``int`` or ``hba_rule[]``.
        default: the value when the inventory says nothing; None with ``required`` or ``secret``.
        choices: the allowed values; empty when any value of the type goes.
        required: whether a host of the module must set it.
        secret: whether the value must never be shown.
        meaning: what it does, in our words.
        since: first release of Pigsty that knows the name.
        removed: first release that no longer knows it, or "".
        aliases: older and newer names for the same thing.
        unsupported: why it has no meaning here, or "".
        public: values of a secret that the whole world knows.
        translations: for an alias whose values have other names: alias to its table of values.
        numbers: for an enum that used to be a number: (inclusive upper bound or None, value) in
            order.
        replaced_by: what took its place in later releases, or "".
    """

    name: str
    module: str
    section: str
    level: str
    type: str
    default: Any
    choices: tuple[Any, ...]
    required: bool
    secret: bool
    meaning: str
    since: str
    removed: str
    aliases: tuple[str, ...]
    unsupported: str
    public: tuple[str, ...] = ()
    translations: Mapping[str, Mapping[Any, Any]] = field(default_factory=lambda: _NONE)
    numbers: tuple[tuple[int | None, str], ...] = ()
    replaced_by: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A key of an object that a parameter holds (a user, a database, a service …).

    Attributes:
        name: the key.
        type: a type name of the catalogue.
        meaning: what it does.
        choices: the allowed values; empty when any value of the type goes.
        required: whether every object must have it.
        secret: whether the value must never be shown.
        ignored: why the key does nothing, or "".
    """

    name: str
    type: str
    meaning: str
    choices: tuple[Any, ...] = ()
    required: bool = False
    secret: bool = False
    ignored: str = ""


class Catalogue(Mapping[str, Parameter]):
    """Parameters by every name that they have or had (see :func:`load`).

    Attributes:
        parameters: each parameter once, in the order of the files.
        objects: the fields of each object type, by type name and key.
    """

    def __init__(
        self,
        parameters: tuple[Parameter, ...],
        objects: Mapping[str, Mapping[str, Field]] = _NONE,
    ) -> None:
        self.parameters = parameters
        self.objects = objects
        self._names: dict[str, Parameter] = {}
        for parameter in parameters:
            for name in (parameter.name, *parameter.aliases):
                if name in self._names:
                    raise CatalogueError(f"the catalogue names {name} twice")
                self._names[name] = parameter

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter of a current or former name."""
        return self._names[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over all names, former ones included."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count all names, former ones included."""
        return len(self._names)

    def canonical(self, name: str) -> str:
        """Return the current name of a parameter; an unknown name is returned as it is."""
        parameter = self._names.get(name)
        return parameter.name if parameter is not None else name

    def nearest(self, name: str) -> str:
        """Return the known name that is most like an unknown one, or "" when none is close."""
        found = difflib.get_close_matches(name, self._names, n=1, cutoff=0.75)
        return found[0] if found else ""


@cache
def load(directory: Path = DIRECTORY) -> Catalogue:
    """Read the catalogue; kept for the life of the process.

    Raises:
        CatalogueError: a file is missing or broken.
    """
    parameters: list[Parameter] = []
    for module in MODULES:
        data = _read(directory / f"{module}.yml")
        for section, entries in data["sections"].items():
            for name, entry in entries.items():
                parameters.append(_parameter(name, data["module"], section, entry))
    objects = {
        kind: {name: _field(name, entry) for name, entry in fields.items()}
        for kind, fields in _read(directory / "objects.yml").items()
    }
    return Catalogue(tuple(parameters), objects)


def _read(file: Path) -> dict[str, Any]:
    """Return the mapping in one of the catalogue's files."""
    try:
        data = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
    except (OSError, yaml.YAMLError) as error:
        raise CatalogueError(f"{file}: {error}") from error
    if not isinstance(data, dict):
        raise CatalogueError(f"{file} holds no mapping")
    return data


def _parameter(name: str, module: str, section: str, entry: Mapping[str, Any]) -> Parameter:
    """Turn an entry of a file into a parameter."""
    aliases = [a if isinstance(a, Mapping) else {"name": a} for a in entry.get("aliases", ())]
    try:
        return Parameter(
            name=name,
            module=module,
            section=section,
            level=entry["level"],
            type=entry["type"],
            default=entry["default"],
            choices=tuple(entry.get("choices", ())),
            required=entry.get("required", False),
            secret=entry.get("secret", False),
            meaning=entry["meaning"],
            since=entry["since"],
            removed=entry.get("removed", ""),
            aliases=tuple(alias["name"] for alias in aliases),
            unsupported=entry.get("unsupported", ""),
            public=tuple(entry.get("public", ())),
            translations={a["name"]: a["values"] for a in aliases if "values" in a},
            numbers=tuple((bound, value) for bound, value in entry.get("numbers", ())),
            replaced_by=entry.get("replaced_by", ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CatalogueError(f"parameter {name} of {module}: {error!r}") from error


def _field(name: str, entry: Mapping[str, Any]) -> Field:
    """Turn an entry of ``objects.yml`` into a field."""
    return Field(
        name=name,
        type=entry["type"],
        meaning=entry.get("meaning", ""),
        choices=tuple(entry.get("choices", ())),
        required=entry.get("required", False),
        secret=entry.get("secret", False),
        ignored=entry.get("ignored", ""),
    )
