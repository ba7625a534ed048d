"""`pigsty pgsql svc`: a cluster's services as they live, and members taken out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pigsty_cli import exitcodes
from pigsty_cli.commands.pgsql_operations import confirm
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pigsty.targets import Job
    from pigsty.topology import PgCluster, Topology
    from pigsty_cli.balancers import Carriers

COLUMNS = {
    "service": "SERVICE",
    "port": "PORT",
    "member": "MEMBER",
    "role": "",
    "status": "STATUS",
    "state": "STATE",
    "weight": "WEIGHT",
    "sessions": "SESSIONS",
}
CHANGES = {"host": "HAPROXY ON", "part": "SERVICE", "member": "MEMBER", "old": "OLD", "new": "NEW"}


#: What a state is called in a sentence.
_WORDS = {"ready": "ready", "drain": "drained", "maint": "in maintenance"}


@click.command("svc")
@click.argument("cluster")
@click.option("--apply", "apply_", is_flag=True, help="Write the services of the inventory anew.")
@click.option("--drain", metavar="MEMBER", help="Give MEMBER no new connections.")
@click.option("--maint", metavar="MEMBER", help="The same, and close those that it has.")
@click.option("--ready", metavar="MEMBER", help="Give MEMBER connections again.")
@click.option("--yes", "-y", is_flag=True, help="Don't ask for the cluster's name.")
@click.option("--test", is_flag=True, help="Show what would be done; do nothing.")
@inventory_option
@output_option
@click.pass_context
def svc(
    ctx: click.Context,
    cluster: str,
    *,
    apply_: bool,
    drain: str | None,
    maint: str | None,
    ready: str | None,
    yes: bool,
    test: bool,
    inventory: str | None,
    output: str,
) -> None:
    """Show the services of CLUSTER and who stands behind them, by every HAProxy that carries them.

    STATUS is what HAProxy's checks find, STATE what a person wants. Members marked `backup` serve
    while nobody else does. A member that is drained or in maintenance is left out of all services
    but those that only a leader can answer: whoever leads has to be found, so hand the lead over
    with `pigsty pgsql switchover` first. The state survives a reload of HAProxy, not its restart.

    Effect: none; with --apply, HAProxy is reloaded where its files differ from the inventory; with
    --drain, --maint and --ready, every HAProxy is told at once. Asks for the cluster's name where a
    service would have nobody left.

    \b
    Examples:
      pigsty pgsql svc pg-test
      pigsty pgsql svc pg-test --drain pg-test-2 --test
      pigsty pgsql svc pg-test --ready pg-test-2
      pigsty pgsql svc pg-test --apply --test
    """
    wishes = [("drain", drain), ("maint", maint), ("ready", ready)]
    wanted = [(state, member) for state, member in wishes if member]
    if len(wanted) + apply_ > 1:
        raise click.UsageError("one of --apply, --drain, --maint and --ready at a time")
    if apply_:
        from pigsty_cli import aspects

        words = f"pigsty pgsql svc {cluster} --apply"
        ctx.exit(aspects.carry_out(cluster, _where, words, output, test=test))
    from pigsty.targets import TargetError, nearest
    from pigsty_cli import balancers, deployment

    topology = deployment.load(find(inventory))
    if cluster not in topology.pg_clusters:
        raise TargetError(nearest(cluster, topology.pg_clusters, "cluster"))
    to = balancers.Carriers.of(topology, topology.pg_clusters[cluster])
    if not wanted:
        ctx.exit(_show(to, output))
    [(state, member)] = wanted
    names = [instance.name for instance in topology.pg_clusters[cluster].members]
    if member not in names:
        raise TargetError(nearest(member, names, "member"))
    ctx.exit(_turn(to, member, state, yes=yes, test=test, output=output))


def _where(topology: Topology, cluster: PgCluster) -> Iterable[Job]:
    """Return who writes the services' files: the members, and hosts that carry them instead."""
    from pigsty.render import services
    from pigsty.targets import Job

    yield Job(tuple(member.ip for member in cluster.members), ("pgsql.service",))
    if providers := services.providers(topology, cluster):
        yield Job(providers, ("node.haproxy",))


def _show(to: Carriers, output: str) -> int:
    """List the servers; what is the same everywhere is one row of the table."""
    from pigsty import balancing

    found = to.look()
    if output == "table":
        emit(balancing.merged(found), output, columns=COLUMNS)
    else:
        emit([server.to_dict() for server in found], output)
    return _silence(to)


def _turn(to: Carriers, member: str, state: str, *, yes: bool, test: bool, output: str) -> int:
    """Bring a member into a state in every HAProxy that has it in another one."""
    from pigsty import balancing

    found = to.look()
    changes = balancing.due(found, member, state, to.parts)
    rows = [
        {"host": host, "part": part, "member": member, "old": old, "new": state}
        for host, part, old in changes
    ]
    alone = balancing.starved(found, member, to.parts) if state != "ready" else []
    if changes and alone:
        message(f"without {member} nobody is left behind {', '.join(alone)}")
        if not (test or yes):
            confirm(to.cluster)
    if changes and not test:
        to.turn(changes, member, state)
    hosts = dict.fromkeys(row["host"] for row in rows)
    verb = "would be" if test else "is"
    where = f" in HAProxy on {', '.join(hosts)}" if rows else " already"
    message(f"{member} {verb} {_WORDS[state]}{where}")
    if output != "table" or rows:
        emit(rows, output, columns=CHANGES)
    return _silence(to)


def _silence(to: Carriers) -> int:
    """Say who could not be asked, and return the exit code that it makes."""
    for host, why in sorted(to.silent.items()):
        message(f"HAProxy on {host}: {why}")
    if not to.silent:
        return exitcodes.OK
    return exitcodes.FAILED if len(to.silent) >= len(to.hosts) else exitcodes.PARTIAL


COMMANDS = (svc,)
