"""One function on one minion, waited for in sight: how far it is, and whether its minion lives."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from pigsty.deadlines import DEADLINES
from pigsty.events import WorkStep
from pigsty_cli.errors import CliError, Refused
from pigsty_cli.saltapi import EXECUTOR, Event, Published, SaltError

#: Seconds between two looks at the clock while nothing happens.
_TICK = 1.0
#: So many answers in a row that the job doesn't run make it lost.
_DENIALS = 2


class Bus(Protocol):
    """What is needed of the Salt master (see :class:`pigsty_cli.saltapi.Master`)."""

    def publish(
        self,
        hosts: list[str],
        function: str,
        arguments: list[Any],
        keywords: Mapping[str, Any] | None = None,
        executor: str = "",
    ) -> Published:
        """Start a job."""

    def next_event(self, seconds: float) -> Event | None:
        """Wait for an event."""

    def returns(self, jid: str) -> dict[str, Any]:
        """Return what the job cache holds."""

    def collect(self, job: Published, deadline: Callable[[str], float]) -> dict[str, Any]:
        """Wait for the returns of a quick job."""


class Screen(Protocol):
    """Who is told how far it is (see :func:`pigsty_cli.progress.waiting`)."""

    def begin(self) -> None:
        """It begins."""

    def step(self, step: WorkStep) -> None:
        """The minion has gone on."""

    def tick(self) -> None:
        """Some time has passed."""


def refresh(bus: Bus, host: str) -> None:
    """Have a minion fetch its pillar: functions, unlike states, see what it fetched last.

    Raises:
        Refused: the minion's key isn't accepted.
        CliError: it doesn't answer.
    """
    job = bus.publish([host], "saltutil.refresh_pillar", [], {"wait": True})
    if host not in job.minions:
        raise Refused(f"{host} is no minion of this master: `pigsty status` shows who is there")
    if host not in bus.collect(job, lambda _: DEADLINES["apply.publish"]):
        raise CliError(f"the minion of {host} doesn't answer")


def call(
    bus: Bus,
    host: str,
    function: str,
    keywords: Mapping[str, Any] | None = None,
    *,
    deadline: str,
    screen: Screen | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Call a function that returns a mapping, and wait for it.

    Args:
        bus: the Salt master.
        host: the minion.
        function: an execution function of ours.
        keywords: its arguments; no secret.
        deadline: a name in :data:`pigsty.deadlines.DEADLINES`; the function has the same one inside
            and says itself what didn't come true, so a grace is given here.
        screen: is told how far the function is, and that time passes, about once a second.
        clock: monotonic seconds.

    Returns:
        What the function returned.

    Raises:
        Refused: the minion's key isn't accepted.
        CliError: the function failed (its own words), or the minion is lost.
    """
    job = bus.publish([host], function, [], keywords, EXECUTOR if screen else "")
    if host not in job.minions:
        raise Refused(f"{host} is no minion of this master: `pigsty status` shows who is there")
    if screen:
        screen.begin()
    begin = heard = asked = looked = clock()
    limit = DEADLINES[deadline] + DEADLINES["apply.silence"]
    questions: set[str] = set()
    denied = 0
    while True:
        event = bus.next_event(_TICK)
        now = clock()
        step = event and WorkStep.from_event(event.tag, event.data)
        if step and (step.id, step.jid) == (host, job.jid):
            heard, denied = now, 0
            if screen:
                screen.step(step)
        sender = _sender(event)
        if sender is not None and sender[1] == host and sender[0] in questions:
            heard = now
            denied = 0 if sender[2] else denied + 1
        returned = sender is not None and sender[:2] == (job.jid, host)
        # The cache is the truth; a lost event costs this many seconds.
        if returned or denied or now - looked >= DEADLINES["apply.look"]:
            looked = now
            found = bus.returns(job.jid)
            if host in found:
                return _result(host, function, found[host])
            if returned and isinstance(sender, tuple):
                return _result(host, function, sender[2])
        if denied >= _DENIALS:
            raise CliError(f"{host} works on {function} no longer: its minion was restarted")
        if now - heard >= DEADLINES["apply.silence"]:
            raise CliError(f"{host} has not been heard of for {now - heard:.0f} s (job {job.jid})")
        if now - begin >= limit:
            raise CliError(f"{function} on {host}: not within {limit:g} s (deadline {deadline})")
        if now - asked >= DEADLINES["apply.ask"]:
            asked = now
            with suppress(SaltError):
                questions.add(bus.publish([host], "saltutil.find_job", [job.jid]).jid)
        if screen:
            screen.tick()


def _sender(event: Event | None) -> tuple[str, str, Any] | None:
    """Return job, minion and return of an event that is one."""
    if event is None or not isinstance(event.data, Mapping):
        return None
    words = event.tag.split("/")
    if words[:2] != ["salt", "job"] or len(words) != 5 or words[3] != "ret":
        return None
    # The id is the authenticated sender's: the master checks it for a job's return.
    return words[2], str(event.data.get("id")), event.data.get("return")


def _result(host: str, function: str, found: Any) -> dict[str, Any]:
    if isinstance(found, dict):
        return found
    said = str(found).removeprefix("ERROR: ").strip()
    if "Traceback" in said:
        said = f"{function}: {said.splitlines()[-1]}"
    if "is not available" in said:
        said += ": bring the modules there with `pigsty apply`"
    raise CliError(f"{host}: {said or function + ' returned nothing'}")
