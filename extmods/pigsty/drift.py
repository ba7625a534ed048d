"""Whether machines are still as they were applied: when each is looked at, and what was found.

Somebody edits a file by hand, a package's upgrade puts another one there, a service is stopped: the
states find it, if they are asked. So each host is asked from time to time, one after the other, by
a run that only looks. What it found is a fact of the journal.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pigsty import targets
from pigsty.journal import Journal
from pigsty.plan import minimal
from pigsty.returns import Change, HostResult

#: Kind of the journal's facts, and of the reactions that look.
KIND = "drift"
#: Seconds between two looks whose turn it is.
TICK = 60.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a look at a host has found.

    Attributes:
        at: when, seconds since 1970.
        states: id and SLS of every state that would change something, or that failed.
        error: why it couldn't be looked at this time; the states are those of the look before.
    """

    at: float
    states: tuple[tuple[str, str], ...] = ()
    error: str = ""

    def fact(self) -> str:
        """Return it as a fact of the journal."""
        return json.dumps({"at": self.at, "states": self.states, "error": self.error})

    @classmethod
    def of(cls, fact: str) -> Reading:
        """Read a fact of the journal."""
        data: dict[str, Any] = json.loads(fact)
        states = tuple((str(name), str(sls)) for name, sls in data["states"])
        return cls(float(data["at"]), states, str(data.get("error", "")))

    @classmethod
    def result(cls, result: HostResult, at: float) -> Reading:
        """Read how a run that only looked has ended."""
        found = [(change.id, change.sls) for change in result.changes]
        found += [(failure.id, failure.sls) for failure in result.failures]
        return cls(at, tuple(dict.fromkeys(found)))


def parse(host: str, answer: Any) -> HostResult:
    """Read what ``pigsty_drift.check`` returned; None for a minion that didn't answer."""
    if not isinstance(answer, Mapping):
        return HostResult(host, "failed", error=str(answer or "its minion didn't answer"))
    if answer["error"]:
        return HostResult(host, "failed", error=str(answer["error"]))
    found = tuple(Change(str(name), str(sls), None) for name, sls in answer["states"])
    return HostResult(host, "changed" if found else "ok", changed=len(found), changes=found)


def readings(journal: Journal) -> dict[str, Reading]:
    """Return the latest reading of every host that was looked at."""
    return {host: Reading.of(fact) for host, fact in journal.facts(KIND).items()}


def due(
    hosts: Sequence[str], last: Mapping[str, float], now: float, interval: float
) -> tuple[str, ...]:
    """Return whose turn it is to be looked at.

    Each host has a moment of its own within the interval, so that a thousand hosts are looked at
    one after the other; after a long stop, hosts that are late are spread as well.

    Args:
        hosts: who can be looked at.
        last: when each was looked at last, or was applied first, seconds since 1970; a host that
            isn't here was never applied, and isn't looked at.
        now: the current moment.
        interval: seconds between two looks at the same host; 0 for never.
    """
    if interval <= 0:
        return ()
    late = []
    for host in hosts:
        phase = zlib.crc32(host.encode()) % max(1, int(interval))
        if host in last and (now - phase) // interval > (last[host] - phase) // interval:
            late.append((last[host], host))
    # Twice as many as have their turn within a tick: so those that are late catch up.
    many = 1 + int(2 * len(hosts) * TICK / interval)
    return tuple(host for _at, host in sorted(late)[:many])


def healing(reading: Reading, modules: Iterable[str]) -> tuple[str, ...]:
    """Return the states that set a host right, of modules that may heal themselves.

    Args:
        reading: what differs.
        modules: from the inventory.
    """
    allowed = set(modules)
    differing = {sls.partition(".")[0] for _id, sls in reading.states}
    return minimal(
        sls for name in sorted(differing & allowed) for sls in targets.STATES.get(name, ())
    )


def left(reading: Reading, applied: Iterable[str]) -> Reading:
    """Return a reading without the modules whose states were applied."""
    modules = {sls.partition(".")[0] for sls in applied}
    rest = tuple(one for one in reading.states if one[1].partition(".")[0] not in modules)
    return Reading(reading.at, rest)


def sentence(reading: Reading) -> str:
    """Return what was found, in words."""
    if not reading.states:
        return "is as it was applied"
    names = [name for name, _sls in reading.states]
    shown = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if names[_FEW:] else "")
    states = "a state differs" if len(names) == 1 else f"{len(names)} states differ"
    return f"has drifted: {states}: {shown}"


#: So many states are named in a sentence.
_FEW = 6
