"""States of the master: ordered work over several machines, as the command `pigsty` does it.

They run by ``salt-run state.orchestrate orch.…`` on the admin node, where `pigsty_cli` is; minions
don't load this. What is done, in which order, and what is refused is decided where the command has
it decided, so that there is one way of doing each thing. Progress goes to standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pigsty import returns
from pigsty.errors import PigstyError
from pigsty.returns import HostResult, merge

__virtualname__ = "pigsty_orch"

#: The key of the master's own pillar, which orchestrations see.
OWN = "pigsty"
#: Does something, or only looks if it is told so. What it changes goes into the mapping as it
#: happens: one that fails has done what stands there. Returns what was done, "" for nothing.
Work = Callable[[bool, dict[str, Any]], str]


def __virtual__() -> str | tuple[bool, str]:
    """Load on the admin node's master only."""
    if __opts__.get("__role") != "master":
        return False, "ordered work is for the master: salt-run state.orchestrate"
    return __virtualname__


def deployed(name: str, targets: Any = (), given: Any = ()) -> dict[str, Any]:
    """Have machines match the inventory, as `pigsty apply` does.

    Args:
        name: a label.
        targets: whom, as a person names them: hosts, clusters, groups; all nodes by default.
        given: the keys of the pillar that this was read from.
    """
    from pigsty_cli import running

    def work(test: bool, changes: dict[str, Any]) -> str:
        _expect(given, "targets")
        words = _words("targets", targets)
        what = " ".join(("salt-run state.orchestrate orch.deploy", *words))
        return _result(running.perform(running.whole(words, test=test), what), changes)

    return _ordered(name, work, "the machines match the inventory")


def restarted(
    name: str, cluster: Any = "", members: Any = (), pending: Any = False, given: Any = ()
) -> dict[str, Any]:
    """Restart PostgreSQL of a cluster in turn, as `pigsty pgsql restart` does.

    Args:
        name: a label.
        cluster: its name.
        members: only these.
        pending: only members that wait for a restart.
        given: the keys of the pillar that this was read from.
    """
    from pigsty import operations
    from pigsty.operations import Plan, Snapshot
    from pigsty_cli import deployment, inventories, operating
    from pigsty_cli.commands.pgsql_operations import reached

    def work(test: bool, changes: dict[str, Any]) -> str:
        _expect(given, "cluster", "members", "pending")
        whose, only = _cluster(cluster), _words("members", members)
        waiting = _flag("pending", pending)

        def decide(seen: Snapshot) -> Plan:
            return operations.restart(seen, only, pending=waiting)

        topology = deployment.load(inventories.find(inventories.PLACES[0]))
        rows: list[dict[str, Any]] = []
        try:
            done = operating.operate(
                topology,
                reached(topology, whose),
                decide,
                test=test,
                again=decide if waiting else None,
                rows=rows,
            )
        finally:
            changes.update(_restarts(row["member"] for row in rows))
        if test:
            changes.update(_restarts(done.plan.members))
        return done.plan.sentence

    return _ordered(name, work, f"{cluster}: nobody has to restart")


def upgraded(name: str, cluster: Any = "", given: Any = ()) -> dict[str, Any]:
    """Have a cluster run the newest minor release, as `pigsty pgsql upgrade` does.

    Args:
        name: a label.
        cluster: its name.
        given: the keys of the pillar that this was read from.
    """
    from pigsty_cli import upgrading

    def work(test: bool, changes: dict[str, Any]) -> str:
        _expect(given, "cluster")
        rows: list[dict[str, Any]] = []
        try:
            plan = upgrading.upgrade(_cluster(cluster), test=test, rows=rows).plan
        except PigstyError:
            if rows:
                steps = [f"{row['member']}: {row['done']}" for row in rows]
                changes["steps"] = {"old": [], "new": steps}
            raise
        if plan.steps:
            changes["steps"] = {"old": [], "new": list(plan.sentences)}
        return "; ".join(plan.sentences)

    return _ordered(name, work, f"{cluster} runs the newest release that its sources have")


def etcd_grown(name: str, members: Any = (), given: Any = ()) -> dict[str, Any]:
    """Have members of the inventory belong to etcd, as `pigsty etcd add` does.

    Args:
        name: a label.
        members: which, by name or address; all by default.
        given: the keys of the pillar that this, and who leaves, was read from.
    """
    from pigsty_cli import membership

    def work(test: bool, changes: dict[str, Any]) -> str:
        _expect(given, "members", "leave", "dead")
        phases = membership.grow(_words("members", members), test=test)
        return _result(list(phases.results.values()) if phases else [], changes)

    return _ordered(name, work, "all of them belong to etcd")


def etcd_shrunk(name: str, members: Any = (), dead: Any = False) -> dict[str, Any]:
    """Take members out of etcd, one after the other, as `pigsty etcd rm` does.

    Args:
        name: a label.
        members: which, by name, address or ID.
        dead: their machines are gone for good.
    """
    from pigsty_cli import membership

    def work(test: bool, changes: dict[str, Any]) -> str:
        results: dict[str, HostResult] = {}
        gone = _flag("dead", dead)
        for member in _words("members", members):
            found = membership.shrink(member, dead=gone, test=test).results
            results |= {h: merge(results[h], r) if h in results else r for h, r in found.items()}
            said = _result(list(results.values()), changes)
        return said if results else ""

    return _ordered(name, work, "nobody leaves etcd")


def _ordered(name: str, work: Work, calm: str) -> dict[str, Any]:
    """Return a state's result for work.

    Args:
        name: the state's name.
        work: what is to be done.
        calm: the comment when there was nothing to do.
    """
    from click.exceptions import Exit

    from pigsty_cli.errors import describe, of_machine

    changes: dict[str, Any] = {}
    ret: dict[str, Any] = {"name": name, "changes": changes, "result": True, "comment": calm}
    test = bool(__opts__["test"])
    try:
        said = work(test, changes)
    except PigstyError as error:
        return {**ret, "result": False, "comment": describe(error)}
    except OSError as error:
        if not (text := of_machine(error)):
            raise
        return {**ret, "result": False, "comment": text}
    except Exit:
        return {**ret, "result": False, "comment": "interrupted: the machines go on"}
    if changes:
        verb = "would be done" if test else "done"
        ret.update(result=None if test else True, comment=f"{verb}: {said}")
    return ret


def _result(results: list[HostResult], changes: dict[str, Any]) -> str:
    """Note what runs of states changed on machines, and return where.

    Raises:
        CliError: something went wrong on one of them.
    """
    from pigsty_cli.errors import CliError

    changes.update(returns.changes(results))
    if trouble := returns.trouble(results):
        raise CliError(trouble)
    return f"changes on {', '.join(changes)}"


def _restarts(members: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return restarts as they stand in ``changes``."""
    return {member: {"old": "", "new": "restarted"} for member in members}


def _expect(given: Any, *keys: str) -> None:
    """Refuse a pillar with a key that nothing reads: mistyped, it would widen the work to all.

    Raises:
        UsageError: there is one.
    """
    from pigsty.targets import nearest
    from pigsty_cli.errors import UsageError

    for key in given:
        if key not in (*keys, OWN):
            raise UsageError(nearest(str(key), keys, "key of the pillar"))


def _cluster(given: Any) -> str:
    """Return the name of a cluster that a pillar gives.

    Raises:
        UsageError: it gives none.
    """
    from pigsty_cli.errors import UsageError

    if not given or not isinstance(given, str):
        raise UsageError(
            f'cluster is {given!r}: name one, as in pillar=\'{{"cluster": "pg-test"}}\''
        )
    return given


def _words(key: str, given: Any) -> tuple[str, ...]:
    """Return words that a pillar gives as a list, or as one text; without any, none.

    Raises:
        UsageError: it gives something else.
    """
    from pigsty_cli.errors import UsageError

    words = given.split() if isinstance(given, str) else given
    if words is None:
        return ()
    if not isinstance(words, (list, tuple)) or not all(isinstance(w, (str, int)) for w in words):
        raise UsageError(f'{key} is {given!r}: it takes names, as in ["one", "two"]')
    return tuple(map(str, words))


def _flag(key: str, given: Any) -> bool:
    """Return what a pillar switches on or off: any text would be true.

    Raises:
        UsageError: it gives something else.
    """
    from pigsty_cli.errors import UsageError

    if not isinstance(given, bool):
        raise UsageError(f"{key} is {given!r}: it takes true or false")
    return given
