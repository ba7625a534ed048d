"""States of the master: ordered work over several machines, as the command `pigsty` does it.

They run by ``salt-run state.orchestrate orch.…`` on the admin node, where `pigsty_cli` is; minions
don't load this. What is done, in which order, and what is refused is decided where the command has
it decided, so that there is one way of doing each thing. Progress goes to standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pigsty import returns
from pigsty.errors import PigstyError
from pigsty.returns import HostResult, merge

__virtualname__ = "pigsty_orch"


def __virtual__() -> str | tuple[bool, str]:
    """Load on the admin node's master only."""
    if __opts__.get("__role") != "master":
        return False, "ordered work is for the master: salt-run state.orchestrate"
    return __virtualname__


def deployed(name: str, targets: Sequence[str] = ()) -> dict[str, Any]:
    """Have machines match the inventory, as `pigsty apply` does.

    Args:
        name: a label.
        targets: whom, as a person names them: hosts, clusters, groups; all nodes by default.
    """
    from pigsty_cli import running

    def work(test: bool) -> tuple[dict[str, Any], str]:
        what = " ".join(("salt-run state.orchestrate orch.deploy", *_words(targets)))
        results = running.perform(running.whole(_words(targets), test=test), what)
        return returns.changes(results), returns.trouble(results)

    return _ordered(name, work, "the machines match the inventory")


def restarted(
    name: str, cluster: str, members: Sequence[str] = (), pending: bool = False
) -> dict[str, Any]:
    """Restart PostgreSQL of a cluster in turn, as `pigsty pgsql restart` does.

    Args:
        name: a label.
        cluster: its name.
        members: only these.
        pending: only members that wait for a restart.
    """
    from pigsty import operations
    from pigsty_cli import deployment, inventories, operating
    from pigsty_cli.commands.pgsql_operations import reached

    def work(test: bool) -> tuple[dict[str, Any], str]:
        topology = deployment.load(inventories.find(inventories.PLACES[0]))
        done = operating.operate(
            topology,
            reached(topology, cluster),
            lambda seen: operations.restart(seen, _words(members), pending=pending),
            test=test,
            again=(lambda seen: operations.restart(seen, _words(members), pending=True))
            if pending
            else None,
        )
        return {member: {"old": "", "new": "restarted"} for member in done.plan.members}, ""

    return _ordered(name, work, f"{cluster}: nobody has to restart")


def upgraded(name: str, cluster: str) -> dict[str, Any]:
    """Have a cluster run the newest minor release, as `pigsty pgsql upgrade` does.

    Args:
        name: a label.
        cluster: its name.
    """
    from pigsty_cli import upgrading

    def work(test: bool) -> tuple[dict[str, Any], str]:
        plan = upgrading.upgrade(cluster, test=test).plan
        return {"steps": {"old": [], "new": list(plan.sentences)}} if plan.steps else {}, ""

    return _ordered(name, work, f"{cluster} runs the newest release that its sources have")


def etcd_grown(name: str, members: Sequence[str] = ()) -> dict[str, Any]:
    """Have members of the inventory belong to etcd, as `pigsty etcd add` does.

    Args:
        name: a label.
        members: which, by name or address; all by default.
    """
    from pigsty_cli import membership

    def work(test: bool) -> tuple[dict[str, Any], str]:
        phases = membership.grow(_words(members), test=test)
        results = list(phases.results.values()) if phases else []
        return returns.changes(results), returns.trouble(results)

    return _ordered(name, work, "all of them belong to etcd")


def etcd_shrunk(name: str, members: Sequence[str] = (), dead: bool = False) -> dict[str, Any]:
    """Take members out of etcd, one after the other, as `pigsty etcd rm` does.

    Args:
        name: a label.
        members: which, by name, address or ID.
        dead: their machines are gone for good.
    """
    from pigsty_cli import membership

    def work(test: bool) -> tuple[dict[str, Any], str]:
        results: dict[str, HostResult] = {}
        for member in _words(members):
            found = membership.shrink(member, dead=dead, test=test).results
            results |= {h: merge(results[h], r) if h in results else r for h, r in found.items()}
            if trouble := returns.trouble(results.values()):
                return returns.changes(results.values()), trouble
        return returns.changes(results.values()), ""

    return _ordered(name, work, "nobody leaves etcd")


def _ordered(
    name: str, work: Callable[[bool], tuple[dict[str, Any], str]], calm: str
) -> dict[str, Any]:
    """Return a state's result for work that returns what it changed and what went wrong.

    Args:
        name: the state's name.
        work: does it, or only looks if it is told so.
        calm: the comment when there was nothing to do.
    """
    from click.exceptions import Exit

    from pigsty_cli.errors import describe

    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": calm}
    test = bool(__opts__["test"])
    try:
        ret["changes"], trouble = work(test)
    except PigstyError as error:
        return {**ret, "result": False, "comment": describe(error)}
    except Exit:
        return {**ret, "result": False, "comment": "interrupted: the machines go on"}
    if trouble:
        return {**ret, "result": False, "comment": trouble}
    if ret["changes"]:
        ret.update(result=None if test else True, comment="would be done" if test else "done")
    return ret


def _words(given: Any) -> tuple[str, ...]:
    """Return words that a pillar gives as a list, or as one text."""
    return tuple(given.split()) if isinstance(given, str) else tuple(str(word) for word in given)
