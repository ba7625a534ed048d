"""The corpus of events that nobody should believe: `forged.yml`, written out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from pigsty import events

FILE = Path(__file__).with_name("forged.yml")
TAG = "pigsty/pgsql/pg-test/leader"
#: A member of the cluster that most of them are about.
SENDER = "10.10.10.12"
#: The kinds that a minion's event can be.
KINDS = ("pgsql.leader", "pgsql.member")


@dataclass(frozen=True, slots=True)
class Forged:
    """An event of the corpus.

    Attributes:
        name: what it is.
        tag: its tag.
        sender: the minion that sent it, as the master authenticated it.
        data: what that minion sent.
        refused: a part of what is said to be wrong with it, "" when it passes as a hint.
    """

    name: str
    tag: str
    sender: str
    data: Any
    refused: str

    @property
    def event(self) -> dict[str, Any]:
        """As the master's bus has it."""
        return {"id": self.sender, "cmd": "_minion_event", "tag": self.tag, "data": self.data}


def corpus() -> list[Forged]:
    """Return all events of the corpus."""
    found: list[Forged] = []
    for entry in yaml.load(FILE.read_text("utf-8"), _Loader):
        if "matrix" in entry:
            found += _matrix(entry)
        else:
            found.append(
                Forged(
                    entry["name"],
                    entry.get("tag", TAG),
                    entry.get("sender", SENDER),
                    entry["data"],
                    entry.get("refused", ""),
                )
            )
    return found


def _matrix(entry: dict[str, Any]) -> Iterator[Forged]:
    """Yield an event for each field of a type and each value."""
    wanted = {"texts": str, "numbers": int}[entry["matrix"]]
    for kind in KINDS:
        for field, types in events.FIELDS[kind].items():
            if types != (wanted,):
                continue
            for case in entry["values"]:
                refused = f"its {field} is no {wanted.__name__}" if case.get("wrong") else ""
                if field == "cluster" and not refused:
                    refused = "inside"
                name = f"{kind}: {field} is {case['name']}"
                tag = events.tag(kind, cluster="pg-test")
                yield Forged(name, tag, SENDER, {field: case["value"]}, refused)


class _Loader(yaml.SafeLoader):
    """YAML with what it can't say by itself."""


def _nest(depth: int) -> Any:
    found: Any = "deep"
    for _ in range(depth):
        found = [found]
    return found


def _sequence(make: Any) -> Any:
    return lambda loader, node: make(*loader.construct_sequence(node, deep=True))


def _scalar(make: Any) -> Any:
    return lambda loader, node: make(loader.construct_scalar(node))


_Loader.add_constructor("!repeat", _sequence(lambda text, times: text * times))
_Loader.add_constructor("!join", _sequence(lambda *parts: "".join(parts)))
_Loader.add_constructor("!power", _sequence(pow))
_Loader.add_constructor("!nest", _scalar(lambda text: _nest(int(text))))
_Loader.add_constructor("!bytes", _scalar(bytes.fromhex))
_Loader.add_constructor("!surrogate", _scalar(lambda text: chr(int(text, 16))))
_Loader.add_constructor("!moment", _scalar(lambda _: datetime(2026, 1, 1, tzinfo=UTC)))
_Loader.add_constructor("!keys", _scalar(lambda text: {f"k{n}": n for n in range(int(text))}))
_Loader.add_constructor("!pairs", _scalar(lambda text: {(n, n): n for n in range(int(text))}))
