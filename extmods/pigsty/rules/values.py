"""Whether a value has its declared type, whatever it holds inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pigsty.catalogue import Catalogue
from pigsty.findings import Severity
from pigsty.rules import scalars
from pigsty.rules.scalars import MAPPING, nearest, quote, show

#: Keys and indices that lead from a variable to something inside it.
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a value, and what would be right.

    Attributes:
        path: keys and indices within the variable; empty for the variable itself.
        message: what is wrong.
        hint: what would be right.
        severity: ``error`` or ``warning``.
    """

    path: Path
    message: str
    hint: str
    severity: Severity = "error"


#: Objects that may be given by their name alone.
NAMES_ALONE = frozenset(("extension", "membership", "schema", "url_package"))


def check(
    kind: str,
    value: Any,
    catalogue: Catalogue,
    *,
    choices: Sequence[Any] = (),
    secret: bool = False,
    path: Path = (),
) -> Iterator[Problem]:
    """Yield everything that is wrong with a value, whatever it holds inside.

    Args:
        kind: a type of the catalogue, for example ``port`` or ``user[]``; an unknown one passes.
        value: the rendered value; None stands for "not set" and passes.
        catalogue: where the objects' fields stand.
        choices: the allowed values of a scalar, if only those go.
        secret: don't quote the value in the message.
        path: where the value stands within its variable, for example ``(2, "roles")``.
    """
    if value is None:
        return
    if kind.endswith("[]"):
        yield from _list(kind[:-2], value, catalogue, path)
    elif kind.endswith("_map"):
        yield from _map(kind[:-4], value, catalogue, path)
    elif kind in ("settings", "strings"):
        yield from _map(kind[:-1], value, catalogue, path)
    elif kind in catalogue.objects:
        yield from _object(kind, value, catalogue, path)
    else:
        found = scalars.fault(kind, value, choices, secret)
        if found:
            yield Problem(path, *found)


def _list(kind: str, value: Any, catalogue: Catalogue, path: Path) -> Iterator[Problem]:
    """Check a list entry by entry; an empty text counts as the empty list."""
    if isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            if entry is None:
                hint = "remove the dash, or write the entry after it"
                yield Problem((*path, index), "an empty entry", hint)
            yield from check(kind, entry, catalogue, path=(*path, index))
    elif value != "":
        message = f"expected a list, got {show(value, kind == 'password')}"
        yield Problem(path, message, "write [a, b], or one `- entry` per line")


def _map(kind: str, value: Any, catalogue: Catalogue, path: Path) -> Iterator[Problem]:
    """Check a mapping whose keys are free and whose values have one type."""
    if not isinstance(value, Mapping):
        yield Problem(path, f"expected a mapping, got {show(value)}", MAPPING)
        return
    needed = any(field.required for field in catalogue.objects.get(kind, {}).values())
    for key, entry in value.items():
        # An entry that is left empty lacks what an entry of its kind can't do without.
        whole = {} if entry is None and needed else entry
        yield from check(kind, whole, catalogue, path=(*path, key))


def _object(kind: str, value: Any, catalogue: Catalogue, path: Path) -> Iterator[Problem]:
    """Check a mapping whose keys the catalogue knows."""
    fields, label = catalogue.objects[kind], kind.replace("_", " ")
    if isinstance(value, str) and kind in NAMES_ALONE:
        if not value:
            yield Problem(path, f"the {label} has no name", "remove the entry")
        return
    if not isinstance(value, Mapping):
        example = ", ".join(f"{f.name}: …" for f in fields.values() if f.required)
        yield Problem(path, f"expected a mapping, got {show(value)}", f"write {{{example or '…'}}}")
        return
    for needed in (field.name for field in fields.values() if field.required):
        if value.get(needed) in (None, ""):
            yield Problem(path, f"the {label} has no {needed}", f"add `{needed}: …`")
    for key, entry in value.items():
        field = fields.get(key)
        where = (*path, key)
        if field is None and kind == "pg_exporter" and key in catalogue:
            continue  # it overrides the parameter of that name for one instance
        if field is None:
            near = nearest(str(key), fields)
            known = ", ".join(fields) if len(fields) < 9 else "those of docs/validation.md"
            hint = f"did you mean {near}?" if near else f"known are {known}"
            text = f"unknown key {quote(key)} in this {label}"
            yield Problem(where, text, hint, "warning")
        elif field.ignored:
            yield Problem(where, f"{key} has no effect: {field.ignored}", "remove it", "warning")
        else:
            yield from check(
                field.type,
                entry,
                catalogue,
                choices=field.choices,
                secret=field.secret,
                path=where,
            )
