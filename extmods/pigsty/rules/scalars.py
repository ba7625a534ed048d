"""Whether one scalar has its declared type, and how a message speaks of it."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

INTERVAL = re.compile(r"\d+(\.\d+)?\s*(us|ms|s|sec|m|min|h|d|w|mon|y|year|years|days?|hours?)?")
SIZE = re.compile(r"\d+(\.\d+)?\s*([kKMGTP]i?)?[bB]?")
USERNAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,62}\$?")
#: How a value begins that only GPG can read.
ENCRYPTED = "-----BEGIN PGP MESSAGE-----"
#: A token that something else replaces later, for example ``${pg_version}`` in a package name.
TOKEN = re.compile(r"\$\{\w+\}")

MAPPING = "write `key: value` lines, or {}"
#: Message and hint about a scalar, or None when nothing is wrong with it.
Fault = tuple[str, str] | None


def fault(kind: str, value: Any, choices: Sequence[Any] = (), secret: bool = False) -> Fault:
    """Return what is wrong with a scalar, as message and hint, or None.

    Args:
        kind: a type of the catalogue; an unknown one passes.
        value: the rendered value.
        choices: the allowed values, if only those go.
        secret: don't quote the value in the message.
    """
    if isinstance(value, str) and kind != "ips" and TOKEN.search(value):
        return None
    if choices:
        return _choice(value, choices, secret)
    checker = CHECKERS.get(kind)
    return checker(value, secret) if checker else None


def show(value: Any, secret: bool = False) -> str:
    """Return how a message names a value: in the words of YAML, short, and never a secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    kind = "the number" if isinstance(value, (int, float)) else "the text"
    if secret:
        return kind
    text = str(value)
    return f"{kind} {text[:60] + '…' if len(text) > 60 else text!r}"


def quote(value: Any) -> str:
    """Return a value in quotes, short, for a message."""
    text = str(value)
    return repr(text[:60] + "…" if len(text) > 60 else text)


def nearest(name: str, known: Sequence[str] | Mapping[str, Any], cutoff: float = 0.7) -> str:
    """Return the known name that is most like a name, or "" when none is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return found[0] if found else ""


def address(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a text is, or None."""
    try:
        return ipaddress.ip_address(value) if isinstance(value, str) else None
    except ValueError:
        return None


def is_number(value: Any) -> TypeGuard[int]:
    """Return True for an integer that is not a boolean (which Python counts among them)."""
    return isinstance(value, int) and not isinstance(value, bool)


def _choice(value: Any, choices: Sequence[Any], secret: bool) -> Fault:
    if value in choices and not isinstance(value, bool):
        return None
    allowed = ", ".join(str(choice) for choice in choices if choice != "")
    near = nearest(str(value), [str(choice) for choice in choices])
    hint = f"did you mean {near}?" if near else f"use one of: {allowed}"
    shown = (
        quote(value) if not secret and isinstance(value, (str, int, float)) else show(value, secret)
    )
    return f"{shown} is not one of {allowed}", hint


def _bool(value: Any, secret: bool) -> Fault:
    if isinstance(value, bool):
        return None
    return f"expected true or false, got {show(value)}", "write true or false"


def _int(value: Any, secret: bool) -> Fault:
    if is_number(value):
        return None
    return f"expected an integer, got {show(value, secret)}", "write digits without quotes"


def _float(value: Any, secret: bool) -> Fault:
    if is_number(value) or isinstance(value, float):
        return None
    return f"expected a number, got {show(value, secret)}", "for example 0.25"


def _int_or_auto(value: Any, secret: bool) -> Fault:
    if is_number(value) or value == "auto":
        return None
    return f"expected an integer or auto, got {show(value)}", "write auto, or a number"


def _port(value: Any, secret: bool) -> Fault:
    if is_number(value) and 0 < value < 65536:
        return None
    return f"expected a port, got {show(value)}", "a port is a number from 1 to 65535"


def _text(value: Any, secret: bool) -> Fault:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return None
    return f"expected text, got {show(value, secret)}", "put the value in quotes"


def _password(value: Any, secret: bool) -> Fault:
    if isinstance(value, str):
        if value.isprintable() or value.startswith(ENCRYPTED):
            return None
        return "a password can't hold line breaks or control characters", "choose another"
    return f"expected text, got {show(value, secret)}", "put the value in quotes"


def _path(value: Any, secret: bool) -> Fault:
    if not isinstance(value, str):
        return f"expected a path, got {show(value)}", "for example /data"
    if not value.isprintable():
        return "a path can't hold control characters", "for example /data"
    return None


def _ip(value: Any, secret: bool) -> Fault:
    if address(value) or value == "":
        return None
    return f"expected an IP address, got {show(value)}", "for example 10.10.10.10"


def _listen(value: Any, secret: bool) -> Fault:
    if isinstance(value, str):
        entries = [part.strip() for part in value.split(",")]
        if all(e == "*" or TOKEN.fullmatch(e) or address(e) or e == "localhost" for e in entries):
            return None
    return (
        f"expected addresses, got {show(value)}",
        "addresses apart by commas, for example 0.0.0.0 or ${ip},${lo}",
    )


def _cidr4(value: Any, secret: bool) -> Fault:
    try:
        if isinstance(value, str) and "/" in value:
            ipaddress.IPv4Interface(value)
            return None
    except ValueError:
        pass
    return (
        f"expected an IPv4 address with its network's length, got {show(value)}",
        "for example 10.10.10.2/24",
    )


def _interval(value: Any, secret: bool) -> Fault:
    if is_number(value) and value >= 0:
        return None
    if isinstance(value, str) and INTERVAL.fullmatch(value.strip()):
        return None
    return f"expected a time span, got {show(value)}", "for example 30s, 15min, 24h or 7d"


def _size(value: Any, secret: bool) -> Fault:
    if is_number(value) and value >= 0:
        return None
    if isinstance(value, str) and SIZE.fullmatch(value.strip()):
        return None
    return f"expected a size, got {show(value)}", "for example 64MiB or 1GB"


def _username(value: Any, secret: bool) -> Fault:
    if isinstance(value, str) and (value == "" or USERNAME.fullmatch(value)):
        return None
    return (
        f"expected a user name, got {show(value)}",
        "letters, digits, _ . @ and -, at most 63, not beginning with a digit",
    )


def _url(value: Any, secret: bool) -> Fault:
    if isinstance(value, str) and (value == "" or re.match(r"[a-z][a-z0-9+.-]*://\S+$", value)):
        return None
    # It may hold a password, so it is never quoted.
    return (
        f"expected a URL, got {show(value, secret=True)}",
        "for example http://10.10.10.10/pigsty",
    )


def _network(value: Any, secret: bool) -> Fault:
    try:
        if isinstance(value, str):
            ipaddress.ip_interface(value)
            return None
    except ValueError:
        pass
    return f"expected a network in CIDR form, got {show(value)}", "for example 10.0.0.0/8"


def _dict(value: Any, secret: bool) -> Fault:
    if isinstance(value, Mapping):
        return None
    return f"expected a mapping, got {show(value, secret)}", MAPPING


def _setting(value: Any, secret: bool) -> Fault:
    if isinstance(value, Mapping):
        return f"expected one value, got {show(value)}", "write a text, a number, true or false"
    return None


CHECKERS: Mapping[str, Callable[[Any, bool], Fault]] = {
    "arg": _text,
    "bool": _bool,
    "cidr": _network,
    "cidr4": _cidr4,
    "dict": _dict,
    "enum": _text,
    "float": _float,
    "int": _int,
    "int|auto": _int_or_auto,
    "interval": _interval,
    "ip": _ip,
    "ips": _listen,
    "password": _password,
    "path": _path,
    "pgurl": _url,
    "port": _port,
    "setting": _setting,
    "size": _size,
    "string": _text,
    "url": _url,
    "username": _username,
}
