"""The JSON Schema (draft 2020-12) of an inventory, for editors; made from the catalogue."""

from __future__ import annotations

from typing import Any

from pigsty.catalogue import Catalogue, Field, Parameter, load

DRAFT = "https://json-schema.org/draft/2020-12/schema"
#: A value may be a template, whatever its type.
_TEMPLATE = {"type": "string", "pattern": r"\{\{|\{%|\$\{"}
_TEXT: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
_SCALARS: dict[str, dict[str, Any]] = {
    "any": {},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "float": {"type": "number"},
    "int|auto": {"anyOf": [{"type": "integer"}, {"const": "auto"}]},
    "dict": {"type": "object"},
    "ip": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}, {"const": ""}]},
}
#: Objects that may be given by their name alone.
_NAMES_ALONE = frozenset(("extension", "membership", "schema", "url_package"))


def schema(catalogue: Catalogue | None = None) -> dict[str, Any]:
    """Return the JSON Schema of an inventory.

    Args:
        catalogue: the parameters; by default those of this installation.

    Unknown names are allowed, as in an inventory: they are warnings of the validation, no errors.
    Scalars of a textual type accept numbers and booleans too, because an editor reads YAML's own
    types where we read the text.
    """
    catalogue = catalogue or load()
    properties = {name: _property(catalogue[name], name, catalogue) for name in sorted(catalogue)}
    group: dict[str, Any] = {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            "vars": _nullable({"$ref": "#/$defs/vars"}),
            "hosts": {
                "type": ["object", "null"],
                "description": "Hosts by IP address, each with its own variables.",
                "additionalProperties": _nullable({"$ref": "#/$defs/vars"}),
            },
            "children": {
                "type": ["object", "null"],
                "description": "Groups within this one.",
                "additionalProperties": {"$ref": "#/$defs/group"},
            },
        },
    }
    objects = {
        f"object.{kind}": _object(kind, fields, catalogue)
        for kind, fields in sorted(catalogue.objects.items())
    }
    return {
        "$schema": DRAFT,
        "title": "Pigsty inventory",
        "type": "object",
        "required": ["all"],
        "properties": {"all": {"$ref": "#/$defs/group"}},
        "additionalProperties": {"$ref": "#/$defs/group"},
        "$defs": {
            "group": group,
            "vars": {"type": "object", "properties": properties},
            **objects,
        },
    }


def _nullable(reference: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows null besides."""
    return {"anyOf": [reference, {"type": "null"}]}


def _property(parameter: Parameter, name: str, catalogue: Catalogue) -> dict[str, Any]:
    """Return the schema of a parameter under one of its names."""
    out: dict[str, Any] = {"description": parameter.meaning}
    if name != parameter.name:
        out["description"] += f" (Called {parameter.name} here.)"
    if parameter.unsupported:
        out["description"] += f" (No effect here: {parameter.unsupported}.)"
    if name != parameter.name or parameter.unsupported:
        out["deprecated"] = True
    elif parameter.default not in (None, [], {}, "") and not parameter.secret:
        out["default"] = parameter.default
    table = parameter.translations.get(name)
    if table is not None:
        return {**out, "enum": list(table)}
    kind = _type(parameter.type, parameter.choices, catalogue)
    if parameter.numbers:
        kind = {"anyOf": [kind, {"type": "integer"}]}
    return {**out, **_or_template(kind)}


def _or_template(kind: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows null and a template besides."""
    return {"anyOf": [kind, _TEMPLATE, {"type": "null"}]} if kind else {}


def _type(kind: str, choices: tuple[Any, ...], catalogue: Catalogue) -> dict[str, Any]:
    """Return the schema of a type of the catalogue."""
    if choices:
        # What YAML 1.1 reads as a boolean (off, no) is the word itself to us.
        words = [False] if {"off", "no", "none"} & {str(choice) for choice in choices} else []
        return {"enum": [*choices, *words]}
    if kind.endswith("[]"):
        return {"type": "array", "items": _or_template(_type(kind[:-2], (), catalogue))}
    if kind.endswith("_map"):
        return {"type": "object", "additionalProperties": _type(kind[:-4], (), catalogue)}
    if kind in ("settings", "strings"):
        return {"type": "object", "additionalProperties": _TEXT}
    if kind in catalogue.objects:
        reference: dict[str, Any] = {"$ref": f"#/$defs/object.{kind}"}
        return {"anyOf": [{"type": "string"}, reference]} if kind in _NAMES_ALONE else reference
    return _SCALARS.get(kind, _TEXT)


def _object(kind: str, fields: Any, catalogue: Catalogue) -> dict[str, Any]:
    """Return the schema of an object of the catalogue."""
    out: dict[str, Any] = {
        "type": "object",
        "title": kind.replace("_", " "),
        "properties": {field.name: _field(field, catalogue) for field in fields.values()},
    }
    required = [field.name for field in fields.values() if field.required]
    return {**out, "required": required} if required else out


def _field(field: Field, catalogue: Catalogue) -> dict[str, Any]:
    """Return the schema of an object's key."""
    out: dict[str, Any] = {"description": field.meaning}
    if field.ignored:
        return {"description": f"No effect: {field.ignored}.", "deprecated": True}
    return {**out, **_or_template(_type(field.type, field.choices, catalogue))}
