"""The filters and tests of templates: jinja2's own, and those of Ansible that inventories use."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import Undefined
from jinja2.utils import Namespace

from pigsty.template_bounds import (
    BOUNDED,
    JOINED,
    MAX_TEXT,
    bounded,
    bounded_range,
    check_replace,
    joined,
    refused,
)


def replace(text: Any, old: str, new: str) -> str:
    """Replace every occurrence of a text."""
    check_replace(str(text), old, new)
    return str(text).replace(old, new)


def join(values: Iterable[Any], separator: str = "", attribute: Any = None) -> str:
    """Join values to a text."""
    items = [item[attribute] if attribute is not None else item for item in values]
    if sum(len(str(item)) + len(separator) for item in items) > MAX_TEXT:
        raise SecurityError("the result of join is too long")
    return separator.join(str(item) for item in items)


def to_bool(value: Any) -> bool:
    """Return a value as Ansible's ``bool`` filter does: yes, on, 1 and true are true."""
    if isinstance(value, str):
        return value.lower() in ("yes", "on", "1", "true")
    return bool(value == 1)


def ternary(value: Any, yes: Any, no: Any, none: Any = None) -> Any:
    """Return one of two values; a third for None where given."""
    if value is None and none is not None:
        return none
    return yes if value else no


def mandatory(value: Any, message: str = "a mandatory variable is not defined") -> Any:
    """Return the value; complain when it is undefined."""
    if isinstance(value, Undefined):
        raise UndefinedError(message)
    return value


def _pattern(pattern: str, ignorecase: bool, multiline: bool) -> re.Pattern[str]:
    """Compile a regular expression of a filter."""
    flags = (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        raise ValueError(f"bad regular expression {pattern!r}: {error}") from error


def regex_replace(
    text: Any, pattern: str = "", replacement: str = "", ignorecase: bool = False,
    multiline: bool = False, count: int = 0,
) -> str:  # fmt: skip
    """Replace what a regular expression matches."""
    if (len(str(text)) + 1) * (len(replacement) + 1) > MAX_TEXT:
        raise SecurityError("the result of regex_replace is too long")
    return _pattern(pattern, ignorecase, multiline).sub(replacement, str(text), count=count)


def regex_search(
    text: Any, pattern: str, *groups: str, ignorecase: bool = False, multiline: bool = False
) -> Any:
    """Return what a regular expression matches first, or None."""
    found = _pattern(pattern, ignorecase, multiline).search(str(text))
    if found is None:
        return None
    if not groups:
        return found.group()
    names = [re.sub(r"^\\+(g<)?|>$", "", group) for group in groups]
    return [found.group(int(name) if name.isdigit() else name) for name in names]


def regex_findall(
    text: Any, pattern: str, multiline: bool = False, ignorecase: bool = False
) -> list[Any]:
    """Return everything that a regular expression matches."""
    return _pattern(pattern, ignorecase, multiline).findall(str(text))


def regex_escape(text: Any) -> str:
    """Escape a text for use in a regular expression."""
    return re.escape(str(text))


def to_json(value: Any, **_options: Any) -> str:
    """Return JSON on one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def to_nice_json(value: Any, indent: int = 4, **_options: Any) -> str:
    """Return indented JSON with sorted keys."""
    return json.dumps(
        value, indent=min(indent, 16), sort_keys=True, ensure_ascii=False, default=str
    )


def to_yaml(value: Any, **_options: Any) -> str:
    """Return YAML."""
    return str(yaml.safe_dump(value, allow_unicode=True, default_flow_style=None))


def to_nice_yaml(value: Any, indent: int = 4, **_options: Any) -> str:
    """Return indented YAML."""
    return str(
        yaml.safe_dump(value, allow_unicode=True, default_flow_style=False, indent=min(indent, 9))
    )


def from_json(text: str) -> Any:
    """Read JSON."""
    return json.loads(text)


def from_yaml(text: str) -> Any:
    """Read YAML."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error


def combine(first: Mapping[str, Any], *others: Mapping[str, Any], recursive: bool = False) -> Any:
    """Merge mappings; later ones win."""
    out = dict(first)
    for other in others:
        for key, value in other.items():
            if recursive and isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
                value = combine(out[key], value, recursive=True)
            out[key] = value
    return out


def dict2items(
    mapping: Mapping[str, Any], key_name: str = "key", value_name: str = "value"
) -> list[dict[str, Any]]:
    """Return a mapping as a list of its entries."""
    return [{key_name: key, value_name: value} for key, value in mapping.items()]


def items2dict(
    items: Iterable[Mapping[str, Any]], key_name: str = "key", value_name: str = "value"
) -> dict[str, Any]:
    """Return a list of entries as a mapping."""
    return {item[key_name]: item[value_name] for item in items}


def digest(text: Any, algorithm: str = "sha1") -> str:
    """Return a hash in hexadecimal."""
    if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
        raise ValueError(f"there is no hash {algorithm!r}")
    return hashlib.new(algorithm, str(text).encode(), usedforsecurity=False).hexdigest()


def b64encode(text: Any) -> str:
    """Encode a text as base64."""
    return base64.b64encode(str(text).encode()).decode()


def b64decode(text: str) -> str:
    """Decode a base64 text."""
    return base64.b64decode(text).decode()


def flatten(values: Iterable[Any], levels: int | None = None) -> list[Any]:
    """Return a list without the lists in it."""
    out: list[Any] = []
    for value in values:
        if isinstance(value, list | tuple) and levels != 0:
            out.extend(flatten(value, None if levels is None else levels - 1))
        else:
            out.append(value)
    return out


def union(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Return what stands in either list, once."""
    out: list[Any] = []
    for value in (*first, *second):
        if value not in out:
            out.append(value)
    return out


def difference(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Return what stands in the first list only."""
    unwanted = list(second)
    return [value for value in union(first, ()) if value not in unwanted]


def intersect(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Return what stands in both lists."""
    wanted = list(second)
    return [value for value in union(first, ()) if value in wanted]


def ipaddr(value: Any, query: str = "") -> Any:
    """Return an address or network as asked for, False when the value is neither.

    Queries: none (the value), ``address``, ``network``, ``netmask``, ``prefix``, ``net``,
        ``subnet``, ``broadcast``, ``host``, ``version`` or the number of an address within the
        network.
    """
    try:
        interface = ipaddress.ip_interface(str(value))
    except ValueError:
        return False
    network = interface.network
    answers: dict[str, Any] = {
        "": value,
        "address": str(interface.ip),
        "ip": str(interface.ip),
        "network": str(network.network_address),
        "netmask": str(network.netmask),
        "prefix": network.prefixlen,
        "net": str(network),
        "subnet": str(network),
        "broadcast": str(network.broadcast_address),
        "host": str(interface),
        "version": interface.version,
    }
    if query in answers:
        return answers[query]
    try:
        return f"{network[int(query)]}/{network.prefixlen}"
    except (ValueError, IndexError) as error:
        raise ValueError(f"ipaddr has no query {query!r} for {value}") from error


def ipv4(value: Any, query: str = "") -> Any:
    """Return what :func:`ipaddr` does for an IPv4 address, else False."""
    return ipaddr(value, query) if ipaddr(value, "version") == 4 else False


def ipv6(value: Any, query: str = "") -> Any:
    """Return what :func:`ipaddr` does for an IPv6 address, else False."""
    return ipaddr(value, query) if ipaddr(value, "version") == 6 else False


def json_query(value: Any, expression: str) -> Any:
    """Return what a JMESPath expression finds."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.search(expression, value)
    except JMESPathError as error:
        raise ValueError(f"bad JMESPath expression {expression!r}: {error}") from error


def split(text: Any, separator: str | None = None) -> list[str]:
    """Split a text."""
    return str(text).split(separator)


_RANDOM = "the same inventory must always give the same result"
_OUTSIDE = "the inventory is the only input; write the value into it"

#: Filters of jinja2 whose result can be far larger than what they are given.
_UNBOUNDED = frozenset(
    ("batch", "center", "format", "indent", "pprint", "slice", "urlize", "wordwrap", "xmlattr")
)

FILTERS: Mapping[str, Callable[..., Any]] = {
    BOUNDED: bounded,
    JOINED: joined,
    **{
        name: function
        for name, function in JINJA_FILTERS.items()
        if name not in _UNBOUNDED
    },
    "b64decode": b64decode, "b64encode": b64encode, "basename": posixpath.basename, "bool": to_bool,
    "combine": combine, "dict2items": dict2items, "difference": difference,
    "dirname": posixpath.dirname, "flatten": flatten, "from_json": from_json,
    "from_yaml": from_yaml, "hash": digest, "intersect": intersect, "ipaddr": ipaddr,
    "ipv4": ipv4, "ipv6": ipv6, "items2dict": items2dict, "join": join, "json_query": json_query,
    "mandatory": mandatory,
    "md5": lambda text: digest(text, "md5"), "quote": lambda text: shlex.quote(str(text)),
    "regex_escape": regex_escape, "regex_findall": regex_findall, "regex_replace": regex_replace,
    "regex_search": regex_search, "replace": replace, "sha1": digest, "split": split,
    "tojson": to_json,
    "ternary": ternary, "to_json": to_json, "to_nice_json": to_nice_json,
    "to_nice_yaml": to_nice_yaml, "to_yaml": to_yaml, "union": union,
    "password_hash": refused("password_hash", _RANDOM), "random": refused("random", _RANDOM),
    "shuffle": refused("shuffle", _RANDOM),
}  # fmt: skip
FILTERS = {
    **FILTERS,
    **{f"ansible.builtin.{n}": FILTERS[n] for n in ("bool", "combine", "ternary")},
}

TESTS: Mapping[str, Callable[..., bool]] = {
    "match": lambda text, pattern: re.match(pattern, str(text)) is not None,
    "search": lambda text, pattern: re.search(pattern, str(text)) is not None,
    "truthy": bool,
    "falsy": lambda value: not value,
}

GLOBALS: Mapping[str, Any] = {
    "range": bounded_range,
    "namespace": Namespace,
    "dict": dict,
    "lookup": refused("lookup", _OUTSIDE),
    "query": refused("query", _OUTSIDE),
    "now": refused("now", _RANDOM),
    "lipsum": refused("lipsum", _RANDOM),
}
