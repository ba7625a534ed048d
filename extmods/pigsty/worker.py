"""Carry out reactions: one after the other for each subject, side by side for different ones.

The worker takes what is due from the journal, has the truth read anew, decides, has the states run,
and writes down what came of it. What fails is tried again a bounded number of times, each time
later. Nobody's data but the truth decides what is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

from pigsty import drift, react
from pigsty.drift import Reading
from pigsty.errors import PigstyError
from pigsty.events import Hint
from pigsty.journal import Journal, JournalError, Reaction
from pigsty.reactions.truth import Decision, Step, Truth
from pigsty.returns import HostResult, merge
from pigsty.turns import NotNow

#: Seconds until the next attempt after the first, second … failure; after the last it is given up,
#: and the next reconcile begins anew.
BACK_OFF = (2.0, 5.0, 15.0, 45.0, 120.0)
#: Reactions that run side by side: each mostly waits for minions.
PARALLEL = 8


class Actor(Protocol):
    """Who runs states on minions and reads the truth; may be called from several threads."""

    def truth(self, kind: str, subject: str) -> Truth:
        """Read the world anew.

        Raises:
            PigstyError: a source didn't answer.
        """

    def turn(self) -> AbstractContextManager[None]:
        """Hold the turn to change machines.

        Raises:
            NotNow: a person's command has it.
        """

    def run(self, step: Step) -> Mapping[str, HostResult]:
        """Run the states of a step; return how it ended on every minion of it."""

    def tell(self, kind: str, host: str, data: Mapping[str, Any]) -> None:
        """Put an event about a host on the bus."""

    def note(self, truth: Truth, ran: Mapping[str, tuple[str, ...]]) -> None:
        """Write down which states ran well on which hosts, with the inventory of a truth."""


class Worker:
    """Reactions of one master.

    Args:
        journal: opens the journal; each thread has a connection of its own.
        actor: reads the truth and runs states.
        clock: seconds since 1970.
    """

    def __init__(
        self, journal: Callable[[], Journal], actor: Actor, clock: Callable[[], float]
    ) -> None:
        self._open, self._actor, self._clock = journal, actor, clock
        self._journal = journal()
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="reaction")
        self._running: set[Future[None]] = set()
        #: Reactions that ended while the journal couldn't be written.
        self._lost: list[Reaction] = []
        self._journal.recover(clock())

    def turn(self) -> int:
        """Begin everything that is due and has room; return how many reactions began.

        Raises:
            JournalError: nothing can be written down now; the next turn does what is left.
        """
        self._running = {future for future in self._running if not future.done()}
        while self._lost:
            # For the journal it still runs, so nothing else would about this subject.
            why = "how it ended couldn't be written down"
            self._journal.retry(self._lost[0], self._clock(), why)
            del self._lost[0]
        begun = 0
        while len(self._running) < PARALLEL:
            reaction = self._journal.take(self._clock())
            if reaction is None:
                break
            self._running.add(self._pool.submit(self._carry_out, reaction))
            begun += 1
        return begun

    def idle(self) -> bool:
        """Whether nothing runs."""
        return all(future.done() for future in self._running)

    def drain(self) -> None:
        """Wait for what runs."""
        for future in list(self._running):
            future.result()

    def close(self) -> None:
        """Begin nothing more and wait for what runs."""
        self._pool.shutdown(wait=True)
        self._journal.close()

    def _carry_out(self, reaction: Reaction) -> None:
        """Carry out one reaction, in a thread of the pool."""
        try:
            journal: Journal | None = getattr(self._local, "journal", None)
            if journal is None:
                journal = self._local.journal = self._open()
            self._attempt(journal, reaction)
        except JournalError:
            self._lost.append(reaction)

    def _attempt(self, journal: Journal, reaction: Reaction) -> None:
        try:
            with self._actor.turn():
                truth = self._actor.truth(reaction.kind, reaction.subject)
                settled = journal.settled(reaction.kind, reaction.subject)
                decision = react.decide(reaction.kind, reaction.subject, truth, settled)
                if decision.wait:
                    self._again(journal, reaction, decision.why)
                    return
                results: Mapping[str, HostResult] = self._run(decision)
                self._actor.note(truth, _ran(decision, results))
                if reaction.kind == drift.KIND and decision.stages:
                    result = results[reaction.subject]
                    decision, results = self._looked(truth, decision, result, settled)
        except NotNow as error:
            # It may go on for minutes, and what is true will be read after it.
            journal.retry(reaction, self._clock() + BACK_OFF[0], str(error), counted=False)
            return
        except PigstyError as error:
            self._again(journal, reaction, str(error))
            return
        self._conclude(journal, reaction, decision, results)

    def _run(self, decision: Decision) -> dict[str, HostResult]:
        """Run the stages of a decision; a stage after one that failed isn't begun."""
        results: dict[str, HostResult] = {}
        for stage in decision.stages:
            with ThreadPoolExecutor(len(stage)) as pool:
                for found in pool.map(self._actor.run, stage):
                    for host, result in found.items():
                        known = results.get(host)
                        results[host] = merge(known, result) if known else result
            if not all(result.good for result in results.values()):
                break
        return results

    def _looked(
        self, truth: Truth, decision: Decision, result: HostResult, settled: str | None
    ) -> tuple[Decision, Mapping[str, HostResult]]:
        """Tell what a look at a host has found; set right what may be set right by itself.

        Returns:
            The decision with its sentence and its fact, and how the healing ended.
        """
        host, now = result.host, self._clock()
        if result.error:
            # Its next turn comes; until then what was found last is all that is known.
            known = Reading.of(settled).states if settled else ()
            why = f"{decision.why} couldn't be looked at: {result.error.splitlines()[0]}"
            return replace(decision, why=why, fact=Reading(now, known, result.error).fact()), {}
        reading = Reading.result(result, now)
        self._actor.tell(drift.KIND, host, {"id": host, "states": len(reading.states)})
        why = f"{decision.why} {drift.sentence(reading)}"
        healed: Mapping[str, HostResult] = {}
        states = drift.healing(reading, truth.automatic.heal)
        if states and _edited(truth, host):
            # Its states would carry out the edit as well, which is for a person to do.
            why += "; an edit that isn't applied touches it, so it wasn't set right: `pigsty plan`"
        elif states:
            healed = self._actor.run(Step((host,), states))
            why += f"; applied {' '.join(states)}"
            if healed[host].good:
                reading = drift.left(reading, states)
        return replace(decision, why=why, fact=reading.fact()), healed

    def _conclude(
        self,
        journal: Journal,
        reaction: Reaction,
        decision: Decision,
        results: Mapping[str, HostResult],
    ) -> None:
        troubles = {
            host: result.error or f"failed: {', '.join(failure.id for failure in result.failures)}"
            for host, result in sorted(results.items())
            if not result.good
        }
        detail = {
            "changed": {
                host: [change.id for change in result.changes]
                for host, result in sorted(results.items())
                if result.changes
            },
            "troubles": troubles,
            "absent": list(decision.absent),
        }
        if troubles:
            self._again(journal, reaction, f"{decision.why}; {_list(troubles)}", detail)
            return
        outcome = f"{decision.why}{_done(results, decision.absent)}"
        journal.end(
            reaction, "done", outcome, self._clock(), detail, decision.fact, known=decision.known
        )

    def _again(
        self,
        journal: Journal,
        reaction: Reaction,
        why: str,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Queue a reaction for another attempt, or give it up."""
        if reaction.attempts <= len(BACK_OFF):
            journal.retry(reaction, self._clock() + BACK_OFF[reaction.attempts - 1], why)
        else:
            outcome = f"{why}; given up after {reaction.attempts} attempts"
            journal.end(reaction, "failed", outcome, self._clock(), detail)


def reconcile(journal: Journal, truth: Truth, now: float) -> int:
    """Queue what events have missed.

    That is: clusters whose leader or members were not dealt with, nodes that are connected and were
    never applied, and an inventory that isn't what hosts were applied with.

    Returns:
        How many reactions were queued.
    """
    count = 0
    waiting = {(reaction.kind, reaction.subject) for reaction in journal.open()}
    for kind, subject in _subjects(truth, journal):
        if (kind, subject) in waiting:
            continue
        settled = journal.settled(kind, subject)
        decision = react.decide(kind, subject, truth, settled)
        # An edit that a person is to apply leads to no state, and is told once.
        told = kind == "inventory.changed" and decision.fact is not None
        if decision.stages or told:
            journal.note(Hint(kind, subject, "reconcile", {}), now)
            count += 1
    return count


def look_for_drift(journal: Journal, truth: Truth, now: float) -> int:
    """Queue a look at the hosts whose turn it is; return at how many."""
    applied = journal.moments("node.join")
    last = applied | {host: at for host, at in journal.moments(drift.KIND).items() if at}
    hosts = [h for h in truth.topology.nodes if h in truth.minions and h in applied]
    found = drift.due(hosts, last, now, truth.automatic.drift)
    for host in found:
        journal.note(Hint(drift.KIND, host, "schedule", {}), now)
    return len(found)


def _subjects(truth: Truth, journal: Journal) -> Iterator[tuple[str, str]]:
    """Yield what an event may have been missed about."""
    for cluster in sorted(truth.topology.pg_clusters):
        if cluster in truth.views:
            yield from (("pgsql.leader", cluster), ("pgsql.member", cluster))
    # Who joined and was never applied; who was edited while away has its part in the next one.
    applied = journal.facts("node.join")
    yield from (
        ("node.join", host)
        for host in truth.topology.nodes
        if host in truth.minions and host not in applied
    )
    if truth.change is not None:
        yield ("inventory.changed", "inventory")


def _edited(truth: Truth, host: str) -> bool:
    """Whether the inventory has an edit that was not applied to a host yet."""
    return truth.change is not None and any(one.host == host for one in truth.change.hosts)


def _ran(decision: Decision, results: Mapping[str, HostResult]) -> dict[str, tuple[str, ...]]:
    """Return the states that ran on hosts where all is well."""
    ran: dict[str, tuple[str, ...]] = {}
    for step in (step for stage in decision.stages for step in stage if not step.audit):
        for host in step.hosts:
            if host in results and results[host].good:
                ran[host] = (*ran.get(host, ()), *step.sls)
    return ran


def _done(results: Mapping[str, HostResult], absent: Sequence[str]) -> str:
    """Return the rest of the sentence: what was changed, and who has to catch up."""
    changed = sorted(host for host, result in results.items() if result.changed)
    text = ""
    if changed:
        text = f"; followed on {', '.join(changed)}"
    elif results:
        text = "; nothing had to be changed"
    if absent:
        text += f"; {', '.join(sorted(absent))} will follow when connected"
    return text


def _list(troubles: Mapping[str, str]) -> str:
    return "; ".join(f"{host}: {text}" for host, text in troubles.items())
