"""What follows from an alert, by what :mod:`pigsty.alerting` judges of those that fire."""

from __future__ import annotations

from pigsty import alerting
from pigsty.reactions.truth import Decision, Step, Truth


def alert(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Write an alert down, and have dead programs started that the inventory lists."""
    found = alerting.judge(subject, truth.alerts, truth.topology)
    if found.fact is not None and found.fact == settled:
        return Decision(f"{found.why}, which was dealt with already", known=True)
    steps, absent = [], set[str]()
    for sls, hosts in sorted(found.states.items()):
        there = tuple(host for host in hosts if host in truth.minions)
        absent.update(set(hosts) - set(there))
        steps += [Step(there, (sls,))] if there else []
    stages = (tuple(steps),) if steps else ()
    return Decision(found.why, stages, found.fact, tuple(sorted(absent)))
