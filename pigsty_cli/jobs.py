"""Follow Salt jobs until every host has returned, or is known to be lost.

Events wake the loop and draw the progress; a result is only what stands in the master's job cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from pigsty import returns
from pigsty.deadlines import DEADLINES, POLL_SECONDS
from pigsty.events import ApplyStep
from pigsty.returns import HostResult
from pigsty_cli.saltapi import Event, Published, SaltError

#: So many answers in a row that the job isn't running there make a host a lost one: the first may
#: come from a minion that hasn't begun yet, or whose return is on the way.
DENIALS = 2


class Bus(Protocol):
    """What is needed of the Salt master (see :class:`pigsty_cli.saltapi.Master`)."""

    def next_event(self, seconds: float) -> Event | None:
        """Wait for an event."""

    def returns(self, jid: str) -> dict[str, Any]:
        """Return what the job cache holds."""

    def publish(self, hosts: Sequence[str], function: str, arguments: Sequence[Any]) -> Published:
        """Start a job."""


class Display(Protocol):
    """Who is told how far things are (see :mod:`pigsty_cli.progress`)."""

    def step(self, step: ApplyStep) -> None:
        """A host has gone on."""

    def done(self, result: HostResult) -> None:
        """A host has ended."""

    def tick(self) -> None:
        """Some time has passed."""


@dataclass(slots=True)
class _Host:
    jid: str
    begin: float
    heard: float
    denied: int = 0


class Follower:
    """Waits for jobs.

    Args:
        bus: the Salt master.
        display: who is told of progress.
        clock: monotonic seconds.
    """

    def __init__(
        self, bus: Bus, display: Display, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bus, self._display, self._clock = bus, display, clock
        self._hosts: dict[str, _Host] = {}
        self._results: dict[str, HostResult] = {}
        self._questions: set[str] = set()
        self._timed = True

    def follow(
        self, jobs: Mapping[str, Sequence[str]], *, timed: bool = True
    ) -> dict[str, HostResult]:
        """Wait until every host of some jobs has a result.

        Args:
            jobs: hosts by job id; a host stands in one job only.
            timed: whether the jobs have just begun, so that their seconds can be told.

        Returns:
            The result of every host.

        Raises:
            KeyboardInterrupt: Ctrl-C; the jobs go on.
        """
        begin = self._clock()
        self._results, self._timed = {}, timed
        self._hosts = {h: _Host(jid, begin, begin) for jid, hosts in jobs.items() for h in hosts}
        look, ask = begin, begin + DEADLINES["apply.ask"]
        announced: set[str] = set()
        while self._hosts:
            event = self._bus.next_event(max(0.0, min(look, ask) - self._clock()))
            now = self._clock()
            if event is not None and (sender := self._hear(event, now)):
                announced.add(sender)
                look = min(look, now)
            if now >= look:
                self._collect(now)
                # A return is in the cache a moment after its event: if not yet, look again soon.
                announced &= self._hosts.keys()
                look = now + (POLL_SECONDS if announced else DEADLINES["apply.look"])
            if now >= ask:
                self._collect(now)
                self._give_up(now)
                self._ask()
                ask = now + DEADLINES["apply.ask"]
            self._display.tick()
        return self._results

    def _hear(self, event: Event, now: float) -> str:
        """Take note of an event; return the host of which there is a return to look for, or ""."""
        step = ApplyStep.from_event(event.tag, event.data)
        if step is not None:
            host = self._hosts.get(step.id)
            if host is not None and host.jid == step.jid:
                host.heard, host.denied = now, 0
                self._display.step(step)
            return ""
        kind, _, rest = event.tag.partition("salt/job/")
        jid, _, phase = rest.partition("/")
        if kind or not phase.startswith("ret/") or not isinstance(event.data, Mapping):
            return ""
        sender = str(event.data.get("id"))
        if jid in self._questions:
            self._answered(sender, event.data.get("return"), now)
            return ""
        host = self._hosts.get(sender)
        return sender if host is not None and host.jid == jid else ""

    def _answered(self, sender: str, answer: Any, now: float) -> None:
        host = self._hosts.get(sender)
        if host is None:
            return
        host.heard = now
        host.denied = 0 if answer else host.denied + 1

    def _collect(self, now: float) -> None:
        for jid in {host.jid for host in self._hosts.values()}:
            for name, returned in self._bus.returns(jid).items():
                host = self._hosts.get(name)
                if host is not None and host.jid == jid:
                    self._end(returns.parse(name, returned, self._since(host, now)))

    def _give_up(self, now: float) -> None:
        for name, host in list(self._hosts.items()):
            silence = now - host.heard
            if host.denied >= DENIALS:
                why = "the minion answers, but works on the job no longer: it was restarted"
            elif silence >= DEADLINES["apply.silence"]:
                why = f"the minion has not been heard of for {silence:.0f} s"
            else:
                continue
            seconds = self._since(host, now)
            self._end(HostResult(name, "lost", seconds=seconds, error=f"{why} (job {host.jid})"))

    def _ask(self) -> None:
        self._questions = set()
        for jid in {host.jid for host in self._hosts.values()}:
            hosts = [name for name, host in self._hosts.items() if host.jid == jid]
            # A master that is down for a while is no reason to give up: its minions work on.
            with suppress(SaltError):
                self._questions.add(self._bus.publish(hosts, "saltutil.find_job", [jid]).jid)

    def _since(self, host: _Host, now: float) -> float:
        return now - host.begin if self._timed else 0.0

    def _end(self, result: HostResult) -> None:
        del self._hosts[result.host]
        self._results[result.host] = result
        self._display.done(result)
