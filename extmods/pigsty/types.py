"""What a scalar of the inventory means, by the type that the catalogue declares for it.

YAML 1.1 reads ``off`` as a boolean, ``22:22:22`` as 80542, ``0640`` as 416 and ``3.10`` as 3.1. The
inventory is therefore read as text, and the declared type decides. The same function serves values
that a template produced.

Type names: ``bool``, ``int``, ``port``, ``float``, ``enum``, ``int|auto``, ``setting`` (a number
stays one, everything else is text), ``any`` (YAML's own reading without its traps); every other
scalar name (``string``, ``path``, ``ip`` …) is text. Containers: ``X[]`` a list of X, ``X_map`` a
mapping to X, ``settings`` and ``strings`` mappings of those, ``dict`` a free mapping, and the
objects of the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pigsty.catalogue import Catalogue, Field

NULLS = frozenset(("", "~", "null", "Null", "NULL"))
TRUE = frozenset(("true", "yes", "on"))
FALSE = frozenset(("false", "no", "off"))
_INT = re.compile(r"[-+]?[0-9][0-9_]*\Z")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_]+\Z")
_CLEAN_INT = re.compile(r"(0|-?[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9_]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?\Z")
_INTS = frozenset(("int", "port", "int|auto"))
_LONGEST_NUMBER = 64


def scalar(text: str, plain: bool, kind: str, choices: tuple[Any, ...] = ()) -> Any:
    """Return the value of a scalar.

    Args:
        text: the scalar as the file has it, without quotes.
        plain: whether it stood there without quotes.
        kind: the declared type.
        choices: the allowed values of an ``enum``.

    Returns:
        The value; the text itself when it doesn't fit the type, for a rule to report.
    """
    if plain and text in NULLS:
        return None
    if "{{" in text or "{%" in text:
        return text
    if kind == "bool":
        word = text.lower()
        return True if word in TRUE else False if word in FALSE else text
    if kind in _INTS:
        return _int(text)
    if kind == "float":
        return float(text.replace("_", "")) if _FLOAT.match(text) else _int(text)
    if kind == "enum":
        return _enum(text, choices)
    if kind == "setting":
        return int(text) if plain and _short(text) and _CLEAN_INT.match(text) else text
    if kind == "any":
        return _any(text) if plain else text
    return text


def coerce(value: Any, kind: str, catalogue: Catalogue, choices: tuple[Any, ...] = ()) -> Any:
    """Return a value that a template or a program made, as its declared type.

    Args:
        value: plain data; strings in it are read as unquoted scalars are.
        kind: the declared type.
        catalogue: where the objects' fields stand.
        choices: the allowed values of an ``enum``.
    """
    if kind == "any":
        return value  # what a template makes has its type already
    if isinstance(value, str):
        return scalar(value, value not in NULLS, kind, choices)
    if isinstance(value, bool):
        if kind == "bool" or kind in _INTS or kind == "float":
            return value
        if kind == "enum":
            return _enum("true" if value else "false", choices)
        return "true" if value else "false"
    if isinstance(value, int | float):
        if kind in _INTS or kind in ("float", "setting", "enum"):
            return value
        return value if kind == "bool" else str(value)
    if isinstance(value, list):
        inner = item_type(kind)
        return [coerce(item, inner, catalogue) for item in value]
    if isinstance(value, Mapping):
        out = {}
        for key, item in value.items():
            found = field_of(kind, str(key), catalogue)
            out[str(key)] = coerce(item, found.type, catalogue, found.choices)
        return out
    return value


def item_type(kind: str) -> str:
    """Return the type of the items of a list type; ``any`` where none is declared."""
    return kind[:-2] if kind.endswith("[]") else "any"


_ANY, _SETTING, _STRING = Field("", "any", ""), Field("", "setting", ""), Field("", "string", "")


def field_of(kind: str, key: str, catalogue: Catalogue) -> Field:
    """Return the declared field of a mapping type; one of type ``any`` where none is declared."""
    if kind == "settings":
        return _SETTING
    if kind == "strings":
        return _STRING
    if kind.endswith("_map"):
        return Field("", kind[:-4], "")
    return catalogue.objects.get(kind, {}).get(key, _ANY)


def of_number(number: int, table: tuple[tuple[int | None, str], ...]) -> str:
    """Return the choice for a number of older releases: the first whose bound it respects."""
    return next(value for bound, value in table if bound is None or number <= bound)


def _short(text: str) -> bool:
    """Return whether a number is as short as people write them (Python refuses 4300 digits)."""
    return len(text) <= _LONGEST_NUMBER


def _int(text: str) -> Any:
    """Read a decimal (leading zeros don't make it octal) or hexadecimal integer."""
    if not _short(text):
        return text
    try:
        if _INT.match(text):
            return int(text.replace("_", ""))
        if _HEX.match(text):
            return int(text.replace("_", ""), 16)
    except ValueError:
        return text
    return text


def _enum(text: str, choices: tuple[Any, ...]) -> Any:
    """Return the choice that a text names; ``off`` may stand there in any way YAML 1.1 knows."""
    if text in choices:
        return text
    word = text.lower()
    for words in (TRUE, FALSE):
        if word in words:
            for choice in choices:
                if choice in words:
                    return choice
    for choice in choices:
        if str(choice).lower() == word:
            return choice
    return _int(text)


def _any(text: str) -> Any:
    """Read an unquoted scalar of no declared type: YAML 1.1 without octal, base 60 and dates."""
    word = text.lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    if _short(text):
        if _CLEAN_INT.match(text):
            return int(text)
        if _HEX.match(text):
            return _int(text)
        if _FLOAT.match(text):
            return float(text.replace("_", ""))
    return text
