"""One run of states as a person sees it: what is meant, who is there, the progress, the results.

`pigsty apply` and every command that carries out one aspect of a cluster go this way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import click

from pigsty import targets
from pigsty.deadlines import DeadlineExceeded
from pigsty.returns import HostResult
from pigsty_cli import (
    applying,
    attempts,
    deployment,
    exitcodes,
    history,
    inventories,
    lock,
    progress,
    report,
    saltapi,
)
from pigsty_cli.applying import Plan, Presence, Run, Screen
from pigsty_cli.errors import Refused
from pigsty_cli.output import message


def carry_out(plan: Plan, what: str, output: str, *, ask: bool = False) -> int:
    """Carry out a plan (see :func:`perform`) and print the results.

    Args:
        plan: what to do.
        what: what runs, as a person would type it.
        output: ``table``, ``json`` or ``yaml``.
        ask: whether a person on a terminal is asked before anything is touched.

    Returns:
        The exit code.
    """
    results = perform(plan, what, ask=ask)
    report.show(results, _labels(plan), output, test=plan.test, told=bool(plan.work))
    return report.exit_code(results)


def whole(words: Sequence[str], names: Sequence[str] = (), *, test: bool) -> Plan:
    """Return the plan that makes machines match the inventory.

    Args:
        words: whom, as a person names them; all nodes if empty.
        names: which modules; all if empty.
        test: only look.

    Raises:
        TargetError: there is no such target or module.
        Refused: the inventory has errors, or none of the targets has any of the modules.
    """
    # The file that the ext_pillar reads: another one could be shown here, but not applied.
    topology = deployment.usable(inventories.find(inventories.PLACES[0])).topology
    wanted = targets.modules(names)
    hosts = tuple(
        host
        for host in targets.resolve(topology, words)
        if targets.touched(topology.nodes[host], wanted)
    )
    if not hosts:
        raise Refused("none of the targets has any of the modules: nothing to do")
    return Plan(topology, hosts, wanted, test)


def perform(plan: Plan, what: str, *, ask: bool = False) -> list[HostResult]:
    """Carry out a plan under the lock, and tell how it goes.

    Args:
        plan: what to do.
        what: what runs, as a person would type it.
        ask: whether a person on a terminal is asked before anything is touched.

    Returns:
        A result for every host that has something to run.

    Raises:
        Refused: another run goes on, a recovery has stopped a cluster, nobody is there, or packages
            couldn't come.
        click.exceptions.Exit: Ctrl-C; how to follow the jobs, which go on, was told.
    """
    with lock.held(what + (" --test" if plan.test else "")), saltapi.Master() as master:
        found = applying.presence(master, plan.hosts, plan.topology.admin_ip)
        _announce(plan, found)
        if not plan.test and (not plan.modules or "pgsql" in plan.modules):
            instances = plan.topology.pg_instances
            attempts.refuse(sorted({instances[h].cluster for h in plan.hosts if h in instances}))
        if applying.outdated(master.started()):
            message(
                "warning: this program is newer than the running Salt master, which makes the "
                "pillars: `systemctl restart salt-master`"
            )
        found = _turn(master, plan, found)
        _refuse(found)
        basis = history.basis(plan.topology)
        flag = applying.repository_flag(plan.topology)
        built = bool(plan.work) or flag is None or flag.exists()
        _check_admin(plan, found, built=built)
        if ask and not plan.test and sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm("Go on?", default=True, abort=True, err=True)
        run = Run(master, plan, screen(_labels(plan)), message)
        try:
            results = run.run(found, built=built)
        except KeyboardInterrupt:
            _interrupted(run)
            raise click.exceptions.Exit(exitcodes.INTERRUPTED) from None
        # The table of `pigsty status` says when a host was applied as a whole.
        if not plan.test and not plan.work:
            history.remember(results, run.jids)
        history.note(plan, basis, results)
    return results


def _labels(plan: Plan) -> dict[str, str]:
    return {host: plan.topology.nodes[host].name for host in plan.hosts}


def screen(labels: dict[str, str]) -> Callable[[Sequence[str]], Screen]:
    """Return what makes the display of one phase of a run.

    Args:
        labels: node name by host.
    """
    return lambda hosts: progress.display({host: labels[host] for host in hosts})


def _announce(plan: Plan, found: Presence) -> None:
    inventory = plan.topology.inventory
    verb = "Auditing" if plan.test else "Applying"
    message(f"{verb} {inventory.file} ({inventory.checksum[:12]})")
    for host in plan.hosts:
        node = plan.topology.nodes[host]
        state = f"  NOT REACHED: {found.missing[host]}" if host in found.missing else ""
        own = plan.states(host) if plan.work or plan.stages else ()
        names = " ".join(own or targets.touched(node, plan.modules))
        message(f"  {host:<15} {node.name:<16} {names}{state}")


def _turn(master: saltapi.Master, plan: Plan, found: Presence) -> Presence:
    """Wait while other states run on a host: what follows from an event takes seconds."""
    if not found.busy:
        return found
    message(f"waiting for the states that run on {', '.join(found.busy)}")
    seen = [found]

    def free() -> bool:
        seen.append(applying.presence(master, plan.hosts, plan.topology.admin_ip))
        return not seen[-1].busy

    with suppress(DeadlineExceeded):
        progress.wait(free, "apply.turn", "no other states run")
    return seen[-1]


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


def _interrupted(run: Run) -> None:
    jids = list(dict.fromkeys(run.jids.values()))
    if not jids:
        message("Interrupted before any state ran.")
        return
    message("Interrupted here, but the nodes go on. To follow them again:")
    for jid in jids:
        message(f"  pigsty apply --job {jid}")
