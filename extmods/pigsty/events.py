"""Tags and payloads of our events, typed.

The bus is at-most-once and an accepted minion can forge a tag, so an event is a hint to look and
never a command: nothing here carries a result that anybody acts on. Whoever reads an event takes
the sender from ``data["id"]``, which the master sets from the authenticated connection, and nothing
from the tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

#: Every kind of event and its tag. Braces hold what the tag itself names.
TAGS: Mapping[str, str] = MappingProxyType(
    {
        "pgsql.leader": "pigsty/pgsql/{cluster}/leader",
        "pgsql.member": "pigsty/pgsql/{cluster}/member",
        "node.join": "pigsty/node/{id}/join",
        "node.leave": "pigsty/node/{id}/leave",
        "node.key": "pigsty/node/{id}/key",
        "inventory.changed": "pigsty/inventory/changed",
        "inventory.bad": "pigsty/inventory/bad",
        "inventory.pull": "pigsty/inventory/pull",
        "alert.firing": "pigsty/alert/{name}/firing",
        "alert.resolved": "pigsty/alert/{name}/resolved",
        "beat": "pigsty/beat",
        "drift": "pigsty/drift/{id}",
        "apply.begin": "pigsty/apply/node/begin",
        "apply.step": "pigsty/apply/node/step",
        "apply.end": "pigsty/apply/node/end",
        "work.step": "pigsty/work/node/step",
    }
)

_FIELD = re.compile(r"\\{(\w+)\\}")
_TAGS_RE = {
    # `\Z`, as `$` would allow a newline behind it.
    kind: re.compile("^" + _FIELD.sub(r"(?P<\1>[^/]+)", re.escape(tag)) + r"\Z")
    for kind, tag in TAGS.items()
}
#: The kind of an event that is none of ours.
UNKNOWN = "unknown"
#: Salt's own events: a minion has connected, a minion showed a key, somebody dealt with a key.
_START = re.compile(r"salt/minion/[^/]+/start\Z")
AUTH, KEY = "salt/auth", "salt/key"
#: What the master did about a key that it did not take, as its event says.
_NOT_TAKEN = frozenset({"pend", "denied", "reject"})
#: What a subject may look like: clusters (with a Citus group), addresses, names of alerts.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}\Z")
#: The fields of a hint's payload by kind, and their types. Others are left out.
FIELDS: Mapping[str, Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {
        "pgsql.leader": {
            "cluster": (str,),
            "leader": (str,),
            "previous": (str,),
            "timeline": (int,),
        },
        "pgsql.member": {
            "cluster": (str,),
            "member": (str,),
            "change": (str,),
            "state": (str,),
        },
        "node.join": {"id": (str,)},
        "node.leave": {"id": (str,)},
        "node.key": {"id": (str,), "act": (str,)},
        "inventory.changed": {
            "checksum": (str,),
            "hosts": (list,),
            "clusters": (list,),
            "modules": (list,),
            "count": (int,),
        },
        "inventory.bad": {"checksum": (str,), "errors": (int,)},
        "inventory.pull": {"failed": (bool,)},
        "alert.firing": {"name": (str,), "cls": (str,), "ins": (str,), "ip": (str,)},
        "alert.resolved": {"name": (str,), "cls": (str,), "ins": (str,), "ip": (str,)},
        "drift": {"id": (str,), "states": (int,)},
    }
)
#: So many names of a list are looked at; what is no text among them is left out.
MANY_NAMES = 20
#: Longest text of an event that is shown to a person.
TEXT_LENGTH = 120
#: A count of states beyond this is no count; an exbibyte is no size of data.
_MANY = 1_000_000
_MUCH = 2**60


def tag(kind: str, **parts: str) -> str:
    """Return the tag of an event.

    Args:
        kind: a key of :data:`TAGS`.
        parts: what stands in the tag's braces.

    Raises:
        KeyError: there is no such kind, or a part is missing.
        ValueError: a part is empty or holds a slash, which would make another tag of it.
    """
    for name, value in parts.items():
        if not value or "/" in value:
            raise ValueError(f"{name}={value!r} can't stand in an event's tag")
    return TAGS[kind].format(**parts)


def parse(text: str) -> tuple[str, dict[str, str]] | None:
    """Return the kind of a tag and what its braces held, or None when the tag isn't one of ours."""
    for kind, pattern in _TAGS_RE.items():
        if match := pattern.match(text):
            return kind, match.groupdict()
    return None


@dataclass(frozen=True, slots=True)
class ApplyStep:
    """How far a minion is with its states.

    Attributes:
        id: the minion, as the master authenticated it.
        jid: the Salt job it belongs to.
        done: states that are finished.
        total: states of the run; 0 while they are still compiled.
        changed: finished states that changed (or would change) something.
        failed: finished states that failed.
        state: id of the state that runs now, "" between two.
    """

    id: str
    jid: str
    done: int
    total: int
    changed: int
    failed: int
    state: str

    @classmethod
    def from_event(cls, text: str, event: Any) -> ApplyStep | None:
        """Read an event of the master's bus; None when it is no step, or not a well-formed one.

        Args:
            text: the event's tag.
            event: its data, ``{"id": …, "data": {…}}`` as the master wraps what a minion sends.
        """
        if not text.startswith("pigsty/apply/node/"):
            return None
        found = _told(event, ("done", "total", "changed", "failed"), _MANY)
        if found is None:
            return None
        sender, data, counts = found
        jid, state = str(data.get("jid", "")), printable(data.get("state", ""))
        return cls(id=sender, jid=jid, state=state, **counts)


@dataclass(frozen=True, slots=True)
class WorkStep:
    """How far a minion is with one long function: a backup, a restore, a recovery.

    Attributes:
        id: the minion, as the master authenticated it.
        jid: the Salt job it belongs to.
        phase: what it does now.
        done: bytes that are done.
        total: bytes that there are, 0 where nobody knows.
        detail: what else helps a person who waits.
    """

    id: str
    jid: str
    phase: str
    done: int
    total: int
    detail: str

    @classmethod
    def from_event(cls, text: str, event: Any) -> WorkStep | None:
        """Read an event of the master's bus; None when it is no step, or not a well-formed one.

        Args:
            text: the event's tag.
            event: its data, ``{"id": …, "data": {…}}`` as the master wraps what a minion sends.
        """
        if text != TAGS["work.step"]:
            return None
        found = _told(event, ("done", "total"), _MUCH)
        if found is None:
            return None
        sender, data, sizes = found
        words = {key: printable(data.get(key, "")) for key in ("jid", "phase", "detail")}
        return cls(id=sender, done=sizes["done"], total=sizes["total"], **words)


def _told(
    event: Any, keys: Sequence[str], limit: int
) -> tuple[str, Mapping[str, Any], dict[str, int]] | None:
    """Return who sent a step, its data, and numbers of it; None when it is not well-formed.

    Args:
        event: as the master wraps what a minion sends.
        keys: the numbers that have to be there.
        limit: each is below it, and not below zero.
    """
    if not isinstance(event, Mapping):
        return None
    data, sender = event.get("data"), event.get("id")
    if not isinstance(data, Mapping) or not isinstance(sender, str):
        return None
    numbers: dict[str, int] = {}
    for key in keys:
        number = data.get(key)
        if type(number) is not int or not 0 <= number < limit:
            return None
        numbers[key] = number
    return sender, data, numbers


@dataclass(frozen=True, slots=True)
class Hint:
    """What an event hints at; nothing in it is taken for true.

    Attributes:
        kind: a key of :data:`TAGS`, or :data:`UNKNOWN`.
        subject: what it is about: a cluster, a node, an alert, or ``inventory``.
        sender: who sent it by its own account: a minion's id, or ``master``.
        data: the fields of :data:`FIELDS` that it carried, short and printable.
    """

    kind: str
    subject: str
    sender: str
    data: Mapping[str, Any]


def read(text: str, event: Any) -> tuple[Hint, str]:
    """Read an event of the bus.

    Args:
        text: its tag.
        event: its data as the bus has it: what a minion sent stands in ``data``, its id in ``id``.

    Returns:
        The hint, and what is wrong with it ("" for nothing): of an event that is no hint, what
        can be shown of it.
    """
    found = parse(text) or _start(text, event) or _of_keys(text, event)
    sender = "master"
    if isinstance(event, Mapping) and isinstance(event.get("id"), str):
        sender = printable(event["id"])
    if found is None or found[0] not in FIELDS:
        return Hint(UNKNOWN, printable(text), sender, {}), "no tag of ours"
    kind, parts = found
    (subject,) = parts.values() or ("inventory",)
    if not _NAME.match(subject):
        return Hint(UNKNOWN, printable(text), sender, {}), "its tag names nothing that can be"
    if text in (AUTH, KEY):  # the sender has not been authenticated: only its claim is known
        return Hint(kind, subject, "master", {"act": printable(event["act"])}), ""
    if _START.match(text):  # Salt's own sentence about it tells nothing more
        return Hint(kind, subject, sender, {}), ""
    payload = event.get("data", event) if isinstance(event, Mapping) else None
    if not isinstance(payload, Mapping):
        return Hint(kind, subject, sender, {}), "its data is no mapping"
    data: dict[str, Any] = {}
    for name, types in FIELDS[kind].items():
        value = payload.get(name)
        if value is None:
            continue
        if not isinstance(value, types) or isinstance(value, bool):
            return Hint(kind, subject, sender, data), f"its {name} is no {types[0].__name__}"
        data[name] = _small(value)
    named = data.get(next(iter(parts), ""))
    if named is not None and named != subject:
        return Hint(kind, subject, sender, data), f"it names {subject} in its tag, {named} inside"
    return Hint(kind, subject, sender, data), ""


#: What of an event is looked at: who sent it, what a minion sent, and the fields of all kinds.
_LOOKED_AT = frozenset({"id", "data"}).union(*FIELDS.values())
#: When the master put it on the bus: it writes this over whatever a minion has sent.
_STAMP = "_stamp"
#: Numbers that fit: others can't stand in an event.
_INT64 = 2**63


def trim(text: str, event: Any) -> dict[str, Any]:
    """Return what of an event :func:`read` looks at, small and fit for any template or encoder.

    An event may hold a megabyte, bytes, dates, or lists in lists in lists. What is no plain value
    and no list of names becomes an empty list: :func:`read` then says what is wrong with it.

    Args:
        text: its tag.
        event: its data, as it is on the bus.

    Returns:
        ``tag``, ``data`` and ``stamp``, the arguments of the runner ``pigsty_react.hint``.
    """
    stamp = event.get(_STAMP) if isinstance(event, Mapping) else None
    return {"tag": printable(text), "data": _trimmed(event, 2), "stamp": printable(stamp or "")}


def fired(stamp: str, now: float) -> float:
    """Return when an event was put on the bus, seconds since 1970.

    Args:
        stamp: as :func:`trim` gives it.
        now: what counts for an event that doesn't tell, or that tells of the future.
    """
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return now
    # Salt's is in UTC, also where it doesn't say so.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(now, moment.timestamp())


def _trimmed(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping) and depth:
        return {name: _trimmed(value[name], depth - 1) for name in _LOOKED_AT & value.keys()}
    if isinstance(value, (str, list)):
        return _small(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return value
    return []


def _small(value: Any) -> Any:
    """Return a text or a list of texts short and printable; anything else as it is."""
    if isinstance(value, list):
        return [printable(name) for name in value[:MANY_NAMES] if isinstance(name, str)]
    return printable(value) if isinstance(value, str) else value


def _start(text: str, event: Any) -> tuple[str, dict[str, str]] | None:
    """Read a minion's start, by the id that the master authenticated and not by the tag's."""
    if not _START.match(text) or not isinstance(event, Mapping):
        return None
    sender = event.get("id")
    return ("node.join", {"id": sender}) if isinstance(sender, str) else None


def _of_keys(text: str, event: Any) -> tuple[str, dict[str, str]] | None:
    """Read what the master itself says of keys; what a minion sends has no ``act`` beside its id.

    Args:
        text: the tag.
        event: the data.
    """
    if text not in (AUTH, KEY) or not isinstance(event, Mapping):
        return None
    subject, act = event.get("id"), event.get("act")
    if not isinstance(subject, str):
        return None
    if text == AUTH and act in _NOT_TAKEN:
        return "node.key", {"id": subject}
    return ("node.leave", {"id": subject}) if text == KEY and act == "delete" else None


def idle(text: str, event: Any) -> bool:
    """Whether an event of Salt's tells nothing: a key that was taken, as every day."""
    return text in (AUTH, KEY) and _of_keys(text, event) is None


def printable(value: Any) -> str:
    """Return text as one short line that can't move a terminal's cursor.

    What is beyond Unicode's first plane is left out: JSON writes it as a pair that YAML refuses.
    """
    text = str(value)
    long = len(text) > TEXT_LENGTH
    shown = text[: TEXT_LENGTH - 1] + "…" if long else text
    return "".join(char if char.isprintable() and char <= "\uffff" else " " for char in shown)
