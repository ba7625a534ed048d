"""`pigsty pgsql ext`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pigsty_cli import exitcodes
from pigsty_cli.errors import CliError, Refused, UsageError
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, inventory_option, message, output_option

if TYPE_CHECKING:
    from pigsty.topology import PgCluster, Topology

COLUMNS = {
    "member": "MEMBER",
    "database": "DATABASE",
    "extension": "EXTENSION",
    "declared": "DECLARED",
    "package": "PACKAGE",
    "available": "AVAILABLE",
    "created": "CREATED",
    "loaded": "LOADED",
    "todo": "TO DO",
}
UPDATES = {"what": "EXTENSION", "old": "OLD", "new": "NEW", "error": "ERROR"}
#: States of a member, in their order: sources, packages, what it can load, the DCS, the objects.
STATES = ("node.repo", "pgsql.install", "pgsql.patroni", "pgsql.objects")


@click.command("ext")
@click.argument("cluster")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Also those that every database has.")
@click.option("--apply", "apply_", is_flag=True, help="Install, load and create what is declared.")
@click.option("--update", is_flag=True, help="Bring created ones to the version of the package.")
@click.option("--restart", is_flag=True, help="Restart members that wait for it, one by one.")
@click.option("--test", is_flag=True, help="Show what would be done; do nothing.")
@click.option("--yes", "-y", is_flag=True, help="Don't ask for the cluster's name.")
@inventory_option
@output_option
@click.pass_context
def ext(
    ctx: click.Context,
    cluster: str,
    names: tuple[str, ...],
    everything: bool,
    apply_: bool,
    update: bool,
    restart: bool,
    test: bool,
    yes: bool,
    inventory: str | None,
    output: str,
) -> None:
    """Show the extensions and libraries of CLUSTER (or some NAMES), and what is to be done.

    Without an option it only looks: declared, package installed, version available and created,
    library loaded, by member and database. `--apply` carries out what is declared: the package
    repository, the packages, the list of libraries in the DCS, CREATE EXTENSION on the leader. A
    library that some member can't load never reaches the DCS: its PostgreSQL would not start again.
    `--restart` restarts members that wait for it, replicas first; then what needed it is created.
    `--update` runs ALTER EXTENSION UPDATE for what is created at an older version.

    Effect: `--restart` closes the connections of a member while it restarts; nothing else
    disconnects anybody.

    \b
    Examples:
      pigsty pgsql ext pg-test
      pigsty pgsql ext pg-test --apply --test
      pigsty pgsql ext pg-test --restart --yes
      pigsty pgsql ext pg-test vector --update
    """
    if sum((apply_, update, restart)) > 1:
        raise UsageError("one at a time: --apply, --update or --restart")
    if names and (apply_ or restart):
        raise UsageError("--apply and --restart are for everything that is declared: no names")
    if apply_ or (test and not (update or restart)):
        ctx.exit(_apply(cluster, output, test=test))
    from pigsty_cli import deployment
    from pigsty_cli.pgsql_looks import named

    topology = deployment.load(find(inventory))
    declared = named(topology, cluster)
    if update:
        ctx.exit(_update(declared, names, output, test=test))
    if restart:
        ctx.exit(_restart(declared, output, test=test, yes=yes))
    _show(declared, names, output, everything=everything)


def _apply(cluster: str, output: str, *, test: bool) -> int:
    from pigsty.targets import Job
    from pigsty_cli import aspects

    def repository(topology: Topology, _cluster: PgCluster) -> tuple[Job, ...]:
        served = topology.nodes.get(topology.admin_ip)
        if served is None or "infra" not in served.modules:
            return ()
        return (Job((topology.admin_ip,), ("infra.repo",)),)

    what = f"pigsty pgsql ext {cluster} --apply"
    where = aspects.both(repository, aspects.members(*STATES))
    return aspects.carry_out(cluster, where, what, output, test=test)


def _show(cluster: PgCluster, names: tuple[str, ...], output: str, *, everything: bool) -> None:
    from pigsty import extensions
    from pigsty_cli import pgsql_looks

    looks = pgsql_looks.ask(cluster, "pigsty_extensions.look")
    rows = extensions.rows(looks, pgsql_looks.leader(looks))
    shown = rows if everything and not names else extensions.interesting(rows, names)
    if output != "table":
        emit([row.to_dict() for row in shown], output)
    elif shown:
        emit(extensions.folded(shown), output, columns=COLUMNS)
    for name, missing in extensions.unable(looks, looks).items():
        message(f"{name} would not start again: {missing} is to be loaded, and isn't installed")
    if not shown:
        message(f"{cluster.name}: nothing but the usual ones (--all shows them)")


def _update(cluster: PgCluster, names: tuple[str, ...], output: str, *, test: bool) -> int:
    from pigsty_cli import progress, remote
    from pigsty_cli.commands.pgsql_backup import leader
    from pigsty_cli.saltapi import Master

    host = leader(cluster)
    with Master() as master:
        remote.refresh(master, host)
        what = "look at" if test else "update"
        with progress.waiting(f"{what} the extensions of {cluster.name}", host) as screen:
            found = remote.call(
                master,
                host,
                "pigsty_extensions.update",
                {"names": list(names), "test": test},
                deadline="sql.statement",
                screen=screen,
            )
    if not found["leader"]:
        raise CliError(f"{host} leads {cluster.name} no longer: run it again")
    changes, failures = found["changes"], found["failures"]
    rows: list[dict[str, Any]] = [{"what": k, **v, "error": ""} for k, v in changes.items()]
    rows += [{"what": k, "old": "", "new": "", "error": v} for k, v in failures.items()]
    if rows or output != "table":
        emit(rows, output, columns=UPDATES)
    else:
        message(f"{cluster.name}: every extension has the version of its package")
    if not failures:
        return exitcodes.OK
    return exitcodes.PARTIAL if changes else exitcodes.FAILED


def _restart(cluster: PgCluster, output: str, *, test: bool, yes: bool) -> int:
    """Restart who waits for it, unless one of them would not start again; then create the rest."""
    from pigsty import extensions, operations
    from pigsty_cli import pgsql_looks
    from pigsty_cli.commands.pgsql_operations import operate

    looks = pgsql_looks.ask(cluster, "pigsty_extensions.look")
    if bad := extensions.unable(looks, looks):
        told = "; ".join(f"{name} lacks {missing}" for name, missing in bad.items())
        raise Refused(f"nobody was restarted, a member would not start again: {told}")

    def decide(seen: operations.Snapshot) -> operations.Plan:
        return operations.restart(seen, (), pending=True)

    operate(cluster.name, decide, yes=yes, test=test, inventory=None, output=output, again=decide)
    return exitcodes.OK if test else _apply(cluster.name, "table", test=False)


COMMANDS = (ext,)
