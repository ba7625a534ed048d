"""`pigsty apply`: make machines match the inventory, or say how they differ."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress

import click

from pigsty_cli import exitcodes
from pigsty_cli.errors import UsageError
from pigsty_cli.inventories import PLACES
from pigsty_cli.output import emit, message, output_option


@click.command("apply")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@click.option("-m", "--module", "modules", multiple=True, help="Only this module (repeatable).")
@click.option("--test", is_flag=True, help="Change nothing: show exactly what would change.")
@click.option("--changed", is_flag=True, help="Only what an edit of the inventory has touched.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask on a terminal.")
@click.option("--job", metavar="JID", help="Follow a run that goes on, or show one that has ended.")
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[str, ...],
    modules: tuple[str, ...],
    test: bool,
    changed: bool,
    yes: bool,
    job: str | None,
    output: str,
) -> None:
    """Make TARGETs match the inventory: all nodes, unless some are named.

    A TARGET is a host's address, a node's or instance's name, a cluster, a group, or a pattern of
    these such as 'pg-*'. The inventory is the one that the Salt master serves,
    /etc/pigsty/pigsty.yml. It is validated first, and nothing is touched if it has errors.
    Run it on the admin node.

    Effect: converges every module of the targets; a second run changes nothing. Running services
    are reloaded rather than restarted; PostgreSQL restarts only through Patroni.

    \b
    Examples:
      pigsty apply                     everything
      pigsty apply pg-test --test      what would change on one cluster
      pigsty apply --changed           what `pigsty plan` shows
      pigsty apply 10.10.10.11 -m node -m etcd
    """
    if job is not None:
        ctx.exit(_attach(job, output))
    if changed:
        if modules:
            raise UsageError("--changed chooses the states itself: leave --module out")
        ctx.exit(_changed(targets, test=test, yes=yes, output=output))
    ctx.exit(_apply(targets, modules, test=test, yes=yes, output=output))


def _apply(
    words: Sequence[str], names: Sequence[str], *, test: bool, yes: bool, output: str
) -> int:
    from pigsty_cli import running

    what = shlex.join(["pigsty", "apply", *words, *(f"-m{name}" for name in names)])
    return running.carry_out(running.whole(words, names, test=test), what, output, ask=not yes)


def _changed(words: Sequence[str], *, test: bool, yes: bool, output: str) -> int:
    """Carry out what `pigsty plan` shows."""
    from pigsty_cli import planning, running
    from pigsty_cli.applying import Plan

    topology, plan = planning.look(words)
    for text in plan.human:
        message(f"note: {text}")
    if not plan.hosts:
        message(planning.NOTHING)
        if output != "table":
            emit([], output)
        return exitcodes.OK
    what = shlex.join(["pigsty", "apply", "--changed", *words])
    hosts = tuple(host.host for host in plan.hosts)
    return running.carry_out(
        Plan(topology, hosts, (), test, stages=plan.stages()), what, output, ask=not yes
    )


def _names(hosts: Iterable[str]) -> dict[str, str]:
    """Return the node names of some hosts, as far as the inventory of now knows them."""
    from pigsty import topology
    from pigsty.errors import InventoryError

    names = dict.fromkeys(sorted(hosts), "")
    with suppress(InventoryError, OSError):
        known = topology.load(PLACES[0]).nodes
        names |= {host: known[host].name for host in names if host in known}
    return names


def _attach(jid: str, output: str) -> int:
    from pigsty_cli import report, running
    from pigsty_cli.jobs import Follower
    from pigsty_cli.saltapi import Master

    with Master() as master:
        job = master.job(jid)
        labels = _names(job.minions)
        try:
            with running.screen(labels)(sorted(job.minions)) as screen:
                results = Follower(master, screen).follow({jid: sorted(job.minions)}, timed=False)
        except KeyboardInterrupt:
            message(f"Interrupted here, but the nodes go on: pigsty apply --job {jid}")
            return exitcodes.INTERRUPTED
    ordered = [results[host] for host in sorted(results)]
    report.show(ordered, labels, output, test=job.test)
    return report.exit_code(ordered)
