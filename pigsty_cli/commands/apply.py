"""`pigsty apply`: make machines match the inventory, or say how they differ."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from pigsty_cli import exitcodes
from pigsty_cli.errors import Refused
from pigsty_cli.inventories import PLACES
from pigsty_cli.output import message, output_option

if TYPE_CHECKING:
    from pigsty_cli.applying import Plan, Presence, Run


@click.command("apply")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@click.option("-m", "--module", "modules", multiple=True, help="Only this module (repeatable).")
@click.option("--test", is_flag=True, help="Change nothing: show exactly what would change.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask on a terminal.")
@click.option("--job", metavar="JID", help="Follow a run that goes on, or show one that has ended.")
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[str, ...],
    modules: tuple[str, ...],
    test: bool,
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
      pigsty apply 10.10.10.11 -m node -m etcd
    """
    if job is not None:
        ctx.exit(_attach(job, output))
    ctx.exit(_apply(targets, modules, test=test, yes=yes, output=output))


def _apply(
    words: Sequence[str], names: Sequence[str], *, test: bool, yes: bool, output: str
) -> int:
    from pigsty import targets
    from pigsty_cli import applying, deployment, history, lock, report
    from pigsty_cli.inventories import find
    from pigsty_cli.saltapi import Master

    # The file that the ext_pillar reads: another one could be shown here, but not applied.
    checked = deployment.usable(find(PLACES[0]))
    topology = checked.topology
    wanted = targets.modules(names)
    hosts = tuple(
        host
        for host in targets.resolve(topology, words)
        if targets.touched(topology.nodes[host], wanted)
    )
    if not hosts:
        raise Refused("none of the targets has any of the modules: nothing to do")
    plan = applying.Plan(topology, hosts, wanted, test)
    what = shlex.join(["pigsty", "apply", *words, *(f"-m{name}" for name in names)])
    with lock.held(what + (" --test" if test else "")), Master() as master:
        found = applying.presence(master, hosts, topology.admin_ip)
        _announce(plan, found)
        if applying.outdated(master.started()):
            message(
                "warning: this program is newer than the running Salt master, which makes the "
                "pillars: `systemctl restart salt-master`"
            )
        _refuse(found)
        flag = applying.repository_flag(topology)
        built = flag is None or flag.exists()
        _check_admin(plan, found, built=built)
        if not yes and not test and sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm("Go on?", default=True, abort=True, err=True)
        labels = {host: topology.nodes[host].name for host in hosts}
        run = applying.Run(master, plan, _screen(labels), message)
        try:
            results = run.run(found, built=built)
        except KeyboardInterrupt:
            _interrupted(run)
            return exitcodes.INTERRUPTED
        if not test:
            history.remember(results, run.jids)
    report.show(results, labels, output, test=test)
    return report.exit_code(results)


def _announce(plan: Plan, found: Presence) -> None:
    from pigsty.targets import touched

    inventory = plan.topology.inventory
    verb = "Auditing" if plan.test else "Applying"
    message(f"{verb} {inventory.file} ({inventory.checksum[:12]})")
    for host in plan.hosts:
        node = plan.topology.nodes[host]
        state = f"  NOT REACHED: {found.missing[host]}" if host in found.missing else ""
        names = " ".join(touched(node, plan.modules))
        message(f"  {host:<15} {node.name:<16} {names}{state}")


def _refuse(found: Presence) -> None:
    if found.busy:
        jobs = "; ".join(f"{host}: {text}" for host, text in found.busy.items())
        raise Refused(f"states run already on {jobs}. Wait for it, or look with --job")
    if not found.up:
        raise Refused("none of the targets' minions can be reached")


def _check_admin(plan: Plan, found: Presence, *, built: bool) -> None:
    """Refuse at once what could only end in a long wait for packages."""
    admin = plan.topology.admin_ip
    if built or plan.test or admin in found.up:
        return
    others = [host for host in found.up if plan.topology.nodes[host].vars.get("node_repo_modules")
              == "local"]  # fmt: skip
    if others:
        raise Refused(
            f"the package repository on the admin node {admin} isn't built yet, and that node is "
            f"not among the targets: begin with `pigsty apply {admin}`"
        )


def _screen(labels: dict[str, str]):  # type: ignore[no-untyped-def]
    from pigsty_cli import progress

    return lambda hosts: progress.display({host: labels[host] for host in hosts})


def _interrupted(run: Run) -> None:
    jids = list(dict.fromkeys(run.jids.values()))
    if not jids:
        message("Interrupted before any state ran.")
        return
    message("Interrupted here, but the nodes go on. To follow them again:")
    for jid in jids:
        message(f"  pigsty apply --job {jid}")


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
    from pigsty_cli import report
    from pigsty_cli.jobs import Follower
    from pigsty_cli.saltapi import Master

    with Master() as master:
        job = master.job(jid)
        labels = _names(job.minions)
        try:
            with _screen(labels)(sorted(job.minions)) as screen:
                results = Follower(master, screen).follow({jid: sorted(job.minions)}, timed=False)
        except KeyboardInterrupt:
            message(f"Interrupted here, but the nodes go on: pigsty apply --job {jid}")
            return exitcodes.INTERRUPTED
    ordered = [results[host] for host in sorted(results)]
    report.show(ordered, labels, output, test=job.test)
    return report.exit_code(ordered)
