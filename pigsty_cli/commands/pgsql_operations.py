"""`pigsty pgsql switchover|failover|restart|reload|reinit|pause|resume|promote|demote`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pigsty_cli.errors import Refused
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, output_option

if TYPE_CHECKING:
    from pigsty.operations import Plan, Snapshot
    from pigsty.topology import Topology
    from pigsty_cli.access import Access

Function = TypeVar("Function", bound=Callable[..., Any])

KEY = "/etc/pigsty/secret.key"
CA = "/etc/pigsty/pki/ca.crt"
COLUMNS = {"member": "MEMBER", "done": "DONE", "seconds": "SECONDS"}
MEMBERS = {
    "member": "MEMBER",
    "host": "HOST",
    "role": "ROLE",
    "state": "STATE",
    "timeline": "TL",
    "lag": "LAG",
    "pending_restart": "PENDING RESTART",
    "plan": "PLAN",
}


def _options(function: Function) -> Function:
    """Add what all operations share."""
    for option in (
        click.option("--yes", "-y", is_flag=True, help="Don't ask for the cluster's name."),
        click.option("--test", is_flag=True, help="Show what would be done; do nothing."),
        inventory_option,
        output_option,
    ):
        function = option(function)
    return function


@click.command("switchover")
@click.argument("cluster")
@click.argument("candidate", required=False)
@_options
def switchover(cluster: str, candidate: str | None, **options: Any) -> None:
    """Hand the lead of CLUSTER over to CANDIDATE, or to the replica that lags least.

    Refused unless the leader is healthy and the candidate can take over without a loss: it streams,
    lags no more than `pg_rpo` allows, isn't marked as never to lead, and is a synchronous standby
    where the cluster has them. How they are is known from Patroni's last loop, so the command looks
    again for up to 40 s before it refuses (--test says at once what it sees). It ends when the new
    leader serves and the old one follows.

    Effect: writes wait for one or two seconds; open transactions are rolled back.

    \b
    Examples:
      pigsty pgsql switchover pg-test --test
      pigsty pgsql switchover pg-test pg-test-2
    """
    from pigsty import operations

    operate(cluster, lambda seen: operations.switchover(seen, candidate), **options)


@click.command("failover")
@click.argument("cluster")
@click.argument("candidate", required=False)
@click.option("--force", is_flag=True, help="Also while a healthy leader serves, or with a loss.")
@_options
def failover(cluster: str, candidate: str | None, force: bool, **options: Any) -> None:
    """Make CANDIDATE the leader of CLUSTER while it has no healthy one.

    Patroni elects a leader by itself; this is for when it may not, because every replica lags too
    far. Refused while a healthy leader serves: a switchover loses nothing.

    Effect: commits that did not reach the candidate are lost.

    \b
    Examples:
      pigsty pgsql failover pg-test --test
      pigsty pgsql failover pg-test pg-test-3 --force
    """
    from pigsty import operations

    operate(cluster, lambda seen: operations.failover(seen, candidate, force=force), **options)


@click.command("restart")
@click.argument("cluster")
@click.argument("members", nargs=-1)
@click.option("--pending", is_flag=True, help="Only members that wait for a restart.")
@_options
def restart(cluster: str, members: tuple[str, ...], pending: bool, **options: Any) -> None:
    """Restart PostgreSQL of CLUSTER (or of some MEMBERS), one member after the other.

    Replicas first, the leader last; each serves and follows again before the next one's turn. The
    leader keeps its lead. The first that doesn't come back ends the command.

    Effect: a member's connections are closed while it restarts.

    \b
    Examples:
      pigsty pgsql restart pg-test --pending
      pigsty pgsql restart pg-test pg-test-3
    """
    from pigsty import operations

    # A lowered `max_connections` and its like reaches replicas only after the leader has restarted
    # with it: then they have to restart once more.
    again = (lambda seen: operations.restart(seen, members, pending=True)) if pending else None
    operate(
        cluster,
        lambda seen: operations.restart(seen, members, pending=pending),
        again=again,
        **options,
    )


@click.command("reload")
@click.argument("cluster")
@click.argument("members", nargs=-1)
@_options
def reload(cluster: str, members: tuple[str, ...], **options: Any) -> None:
    """Make Patroni and PostgreSQL of CLUSTER (or of some MEMBERS) read their files again.

    Effect: nobody is disconnected.

    \b
    Examples:
      pigsty pgsql reload pg-test
    """
    from pigsty import operations

    operate(cluster, lambda seen: operations.reload(seen, members), harmless=True, **options)


@click.command("reinit")
@click.argument("cluster")
@click.argument("member")
@_options
def reinit(cluster: str, member: str, **options: Any) -> None:
    """Copy the data of replica MEMBER of CLUSTER again, for one that is broken or diverged.

    Refused for the leader, and while there is no healthy leader to copy from.

    Effect: its data directory is emptied; it serves nobody until the copy is done.

    \b
    Examples:
      pigsty pgsql reinit pg-test pg-test-3
    """
    from pigsty import operations

    operate(cluster, lambda seen: operations.reinit(seen, member), **options)


@click.command("pause")
@click.argument("cluster")
@_options
def pause(cluster: str, **options: Any) -> None:
    """Begin maintenance of CLUSTER: Patroni watches, but promotes and restarts nobody.

    Effect: nobody takes over should the leader fail, until `pigsty pgsql resume`.

    \b
    Examples:
      pigsty pgsql pause pg-test
    """
    from pigsty import operations

    operate(cluster, operations.pause, **options)


@click.command("resume")
@click.argument("cluster")
@_options
def resume(cluster: str, **options: Any) -> None:
    """End the maintenance of CLUSTER: Patroni acts again.

    Effect: Patroni elects a leader again should one fail.

    \b
    Examples:
      pigsty pgsql resume pg-test
    """
    from pigsty import operations

    operate(cluster, operations.resume, harmless=True, **options)


@click.command("promote")
@click.argument("cluster")
@_options
def promote(cluster: str, **options: Any) -> None:
    """Make standby cluster CLUSTER take writes of its own.

    It stops following the cluster that `pg_upstream` names. The command ends when the leader takes
    writes and the other members stream from it. `pg_upstream` may stay in the inventory: no apply
    makes the cluster follow again. After it, `pigsty apply CLUSTER` makes its own stanza and first
    backup.

    Effect: the two clusters go apart; what the other has not sent is missing.

    \b
    Examples:
      pigsty pgsql promote pg-dr --test
      pigsty pgsql promote pg-dr
    """
    from pigsty import promotion

    operate(cluster, promotion.promote, **options)


@click.command("demote")
@click.argument("cluster")
@_options
def demote(cluster: str, inventory: str | None, **options: Any) -> None:
    """Make CLUSTER the standby of the cluster that its `pg_upstream` names.

    For one that was promoted, or the old primary side after the other one was: both have to come
    from one server, or it is refused. Its members are rewound to where the two went apart, or
    copied again where that can't be done.

    Effect: what was written to CLUSTER alone is lost; it takes no writes any more.

    \b
    Examples:
      pigsty pgsql demote pg-dr --test
      pigsty pgsql demote pg-dr
    """
    from pigsty import promotion
    from pigsty.pillar import replication
    from pigsty_cli import deployment, operating

    topology = deployment.load(find(inventory))
    declared = topology.pg_clusters.get(cluster)
    upstream = replication.standby_of(topology, declared) if declared else None
    first = topology.pg_instances.get(upstream["host"].split(",")[0]) if upstream else None

    def decide(seen: Snapshot) -> Plan:
        theirs = operating.system(reached(topology, first.cluster)) if first else ""
        own = operating.system(reached(topology, cluster))
        return promotion.demote(seen, upstream, own, theirs)

    operate(cluster, decide, inventory=inventory, **options)


COMMANDS = (switchover, failover, restart, reload, reinit, pause, resume, promote, demote)


def operate(
    cluster: str,
    decide: Callable[[Snapshot], Plan],
    *,
    yes: bool,
    test: bool,
    inventory: str | None,
    output: str,
    harmless: bool = False,
    again: Callable[[Snapshot], Plan] | None = None,
) -> None:
    """Look, decide, tell, ask, do.

    Args:
        cluster: its name.
        decide: makes the plan of what was seen.
        yes: don't ask for the cluster's name.
        test: only show the plan.
        inventory: the file that was named on the command line.
        output: ``table``, ``json`` or ``yaml``.
        harmless: never ask.
        again: makes a second plan when the first one is done.
    """
    from pigsty_cli import deployment, operating

    topology = deployment.load(find(inventory))
    done = operating.operate(
        topology,
        reached(topology, cluster),
        decide,
        test=test,
        agreed=(lambda: None) if yes or harmless else (lambda: confirm(cluster)),
        again=again,
    )
    if test:
        _preview(done.seen, done.plan, output)
    elif output != "table":
        emit(_data(done.plan, test=False) | {"steps": done.rows}, output)
    elif done.rows:
        emit(done.rows, output, columns=COLUMNS)


def reached(topology: Topology, cluster: str) -> Access:
    """Return how a cluster of the inventory is reached from the admin node.

    Raises:
        TargetError: the inventory has no such cluster.
    """
    from pigsty.targets import TargetError, nearest
    from pigsty_cli import access

    if cluster not in topology.pg_clusters:
        raise TargetError(nearest(cluster, topology.pg_clusters, "cluster"))
    return access.of(topology.pg_clusters[cluster], KEY, CA)


def _preview(seen: Snapshot, plan: Plan, output: str) -> None:
    order = {name: at for at, name in enumerate(plan.members, 1)}
    members = [
        {
            "member": member.name,
            "host": member.host,
            "role": member.role,
            "state": member.state if member.name in seen.answering else "unreachable",
            "timeline": member.timeline,
            "lag": member.lag,
            "pending_restart": member.pending_restart,
            "plan": _mark(plan, order.get(member.name)),
        }
        for member in seen.members
    ]
    if output == "table":
        shown = [{**m, "pending_restart": "yes" if m["pending_restart"] else ""} for m in members]
        emit(shown, output, columns=MEMBERS)
    else:
        emit(_data(plan, test=True) | {"live": members}, output)


def _mark(plan: Plan, order: int | None) -> str:
    if order is None:
        return ""
    if plan.action in ("switchover", "failover"):
        return "candidate"
    return f"{plan.action} {order}" if plan.action == "restart" else plan.action


def _data(plan: Plan, *, test: bool) -> dict[str, Any]:
    return {
        "cluster": plan.cluster,
        "action": plan.action,
        "test": test,
        "leader": plan.leader,
        "members": list(plan.members),
        "sentence": plan.sentence,
        "effect": plan.effect,
    }


def confirm(name: str, kind: str = "cluster") -> None:
    """Ask for the name of what is about to suffer.

    Args:
        name: its name.
        kind: what it is.

    Raises:
        Refused: another name was typed, or nobody is there to type one.
    """
    if not sys.stdin.isatty():
        raise Refused(f"nobody is here to type the {kind}'s name: say --yes if it is meant")
    typed = click.prompt(f"Type {name} to go on", default="", show_default=False, err=True)
    if typed.strip() != name:
        raise Refused(f"{typed.strip()!r} is not {name}: nothing was done")
