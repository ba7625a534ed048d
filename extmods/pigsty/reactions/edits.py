"""What follows when the inventory was edited: told, or carried out by itself."""

from __future__ import annotations

from pigsty.plan import Plan
from pigsty.reactions.truth import HIGHSTATE, Decision, Step, Truth

#: So many hosts of a group are named in a sentence.
_FEW = 5


def changed(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Apply an edit where the deployment is to do so by itself; else say what it touches."""
    change = truth.change
    if truth.trouble or change is None:
        return Decision(_refused_text(truth))
    if not truth.deployed:
        return Decision("the deployment was never applied: `pigsty apply` begins with all nodes")
    fact = f"{change.basis} {'auto' if truth.automatic.apply else 'told'}"
    if settled == fact:
        return Decision("the inventory is what was dealt with already", known=True)
    if not change.hosts:
        why = change.human[0] if change.human else "the edit touches no host's states"
        return Decision(why, fact=fact)
    what = _touched(change)
    if change.gone:
        # Peers would let go of what still runs: a person says in which order that goes.
        why = f"{what}. Nothing is done by itself, because {change.human[0]}"
        return Decision(why, fact=fact)
    if not truth.automatic.apply:
        why = f"{what}: `pigsty plan` shows it, `pigsty apply --changed` carries it out"
        return Decision(why, fact=fact)
    hosts = {host.host for host in change.hosts}
    return Decision(
        what,
        stages=stages(change, truth.minions),
        fact=fact,
        absent=tuple(sorted(hosts - truth.minions)),
    )


def bad(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Say what is wrong with the inventory."""
    return Decision(_refused_text(truth))


def pulled(subject: str, truth: Truth, settled: str | None) -> Decision:
    """Say why the inventory isn't pulled from its git repository, or that it is again."""
    if settled:
        return Decision(f"the inventory isn't pulled: {settled}. What stands here is used")
    return Decision("the inventory is pulled from git again")


def stages(change: Plan, minions: frozenset[str]) -> tuple[tuple[Step, ...], ...]:
    """Return the stages of a plan for those minions that are connected.

    Args:
        change: what an edit touches.
        minions: who is connected.
    """
    found = []
    for jobs in change.stages():
        steps = [
            Step(there, job.states or HIGHSTATE)
            for job in jobs
            if (there := tuple(host for host in job.hosts if host in minions))
        ]
        if steps:
            found.append(tuple(steps))
    return tuple(found)


def _touched(change: Plan) -> str:
    """Return the sentence about an edit: what is to run where."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for host in change.hosts:
        groups.setdefault(host.states, []).append(host.name or host.host)
    parts = [
        f"{' '.join(states)} on {', '.join(names[:_FEW])}"
        + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
        for states, names in groups.items()
    ]
    return f"the edit touches {'; '.join(parts)}"


def _refused_text(truth: Truth) -> str:
    if truth.trouble:
        return f"{truth.trouble}; the last good one goes on being used"
    return "the inventory is good"
