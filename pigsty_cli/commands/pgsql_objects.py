"""`pigsty pgsql user|db|hba`: users, databases and access rules of one cluster, at once."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from pigsty_cli import exitcodes
from pigsty_cli.commands.pgsql_operations import confirm
from pigsty_cli.errors import Refused
from pigsty_cli.inventories import find
from pigsty_cli.output import emit, message, output_option

if TYPE_CHECKING:
    from pigsty.render.hba_view import Row
    from pigsty.topology import PgCluster, Topology

RULES = {
    "server": "SERVER",
    "member": "MEMBER",
    "role": "FOR",
    "line": "LINE",
    "source": "FROM",
    "title": "TITLE",
}

_test_option = click.option(
    "--test", is_flag=True, help="Change nothing: show exactly what would change."
)


@click.command("user")
@click.argument("cluster")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_test_option
@output_option
@click.pass_context
def user(ctx: click.Context, cluster: str, names: tuple[str, ...], test: bool, output: str) -> None:
    """Make users of CLUSTER what the inventory says: all of them, or those of some NAMEs.

    It is done by the member that leads now, whoever that is; the pools of every member's PgBouncer
    follow. Databases, and users that aren't named, stay as they are. What goes wrong with one user
    fails that user alone.

    Effect: roles are created, changed, and with `state: absent` dropped, after their sessions were
    ended and what they own was given to the superuser. Nobody else is disconnected.

    \b
    Examples:
      pigsty pgsql user pg-test --test
      pigsty pgsql user pg-test dbuser_app
    """
    ctx.exit(_objects("user", "users", cluster, names, test=test, output=output))


@click.command("db")
@click.argument("cluster")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--recreate", is_flag=True, help="Drop the NAMEs with their data; make them anew.")
@click.option("--yes", "-y", is_flag=True, help="Don't ask for the database's name.")
@_test_option
@output_option
@click.pass_context
def database(
    ctx: click.Context,
    cluster: str,
    names: tuple[str, ...],
    recreate: bool,
    yes: bool,
    test: bool,
    output: str,
) -> None:
    """Make databases of CLUSTER what the inventory says: all of them, or those of some NAMEs.

    It is done by the member that leads now, whoever that is, with the schemas, extensions and
    privileges in them; the pools of every member's PgBouncer follow. Users, and databases that
    aren't named, stay as they are. What goes wrong with one database fails that one alone.

    Effect: databases are created, changed, and with `state: absent` dropped with the sessions in
    them. With --recreate the named ones lose all their data, and the command asks for each name.

    \b
    Examples:
      pigsty pgsql db pg-test --test
      pigsty pgsql db pg-test shop
      pigsty pgsql db pg-test shop --recreate
    """
    if recreate and not names:
        raise click.UsageError("--recreate needs the names of the databases")
    only: dict[str, Sequence[str]] = {"recreate": names} if recreate else {}

    def ask() -> None:
        for name in names if recreate and not test else ():
            message(f"Database {name} of {cluster} is dropped with all its data, and made anew.")
            if not yes:
                confirm(name, "database")

    ctx.exit(
        _objects("db", "databases", cluster, names, test=test, output=output, more=only, before=ask)
    )


@click.command("hba")
@click.argument("cluster")
@click.option("--show", is_flag=True, help="Only show the lines of every member, and their source.")
@_test_option
@output_option
@click.pass_context
def hba(ctx: click.Context, cluster: str, show: bool, test: bool, output: str) -> None:
    """Make the access rules of CLUSTER's members what the inventory says, by their live roles.

    PostgreSQL's own parser has to accept its file before it is loaded; one that it refuses is taken
    back. PgBouncer's rules follow too. Rules for a role hold on the members that have it now: after
    a switchover this command (or any apply) brings them along.

    Effect: files are replaced and reloaded where they differ. Nobody is disconnected.

    \b
    Examples:
      pigsty pgsql hba pg-test --show
      pigsty pgsql hba pg-test --test
      pigsty pgsql hba pg-test
    """
    from pigsty_cli import aspects

    if show:
        _show(cluster, output)
        return
    what = shlex.join(["pigsty", "pgsql", "hba", cluster])
    where = aspects.members("pgsql.hba", "pgsql.pgbouncer")
    ctx.exit(
        aspects.carry_out(cluster, where, what, output, test=test, only=lambda *_: {"hba": ()})
    )


COMMANDS = (user, database, hba)


def _objects(
    verb: str,
    kind: str,
    cluster: str,
    names: Sequence[str],
    *,
    test: bool,
    output: str,
    more: Mapping[str, Sequence[str]] | None = None,
    before: Callable[[], None] = lambda: None,
) -> int:
    """Run the states of objects and of PgBouncer for one kind of objects.

    Raises:
        Refused: nobody leads the cluster, or the lead moved while the states ran: what was done for
            members that don't lead is nothing, and that must not look like success.
    """
    from pigsty.sql import desired
    from pigsty.targets import TargetError, nearest
    from pigsty_cli import aspects

    leaders: list[str] = []
    meant: list[PgCluster] = []

    def only(topology: Topology, declared: PgCluster) -> dict[str, Sequence[str]]:
        meant.append(declared)
        leaders.append(_leader(declared))
        known = desired.names(topology, declared.name)[kind]
        unknown = [name for name in names if name not in known]
        if unknown:
            label = {"users": "user", "databases": "database"}[kind]
            raise TargetError("; ".join(nearest(name, known, label) for name in unknown))
        before()
        return {kind: names, **(more or {})}

    flags = ["--recreate"] if more else []
    what = shlex.join(["pigsty", "pgsql", verb, cluster, *names, *flags])
    where = aspects.members("pgsql.objects", "pgsql.pgbouncer")
    code = aspects.carry_out(cluster, where, what, output, test=test, only=only)
    if code == exitcodes.OK and _leader(meant[0]) != leaders[0]:
        raise Refused(f"the lead of {cluster} moved away from {leaders[0]} meanwhile: run it again")
    return code


def _leader(cluster: PgCluster) -> str:
    """Return the name of the member that leads now.

    Raises:
        Refused: there is none, or it follows another cluster, so that nothing can be written.
    """
    from pigsty_cli import deployment

    rows = deployment.live_members([cluster])[cluster.name]
    roles = {row.role: row.member for row in rows}
    if "primary" in roles:
        return roles["primary"]
    if "standby_leader" in roles:
        raise Refused(f"{cluster.name} follows another cluster: change its objects there")
    raise Refused(f"{cluster.name} has no leader right now: nothing can be written")


def _show(cluster: str, output: str) -> None:
    """Print the rules of every member, by its live role as far as it answers."""
    from pigsty.render import hba_view
    from pigsty.targets import TargetError, nearest
    from pigsty_cli import deployment

    topology = deployment.load(find(None))
    if cluster not in topology.pg_clusters:
        raise TargetError(nearest(cluster, topology.pg_clusters, "cluster"))
    declared = topology.pg_clusters[cluster]
    rows = deployment.live_members([declared])[cluster]
    live = {row.host: row.role for row in rows if row.state != "unreachable"}
    for member in declared.members:
        if member.ip not in live:
            message(f"{member.name} doesn't answer: shown by its declared role, {member.role}")
    emit_rules(hba_view.rows(topology, declared, live), output)


def emit_rules(rows: Iterable[Row], output: str) -> None:
    """Print rules: members that have the same line share a row of a table."""
    found = list(rows)
    if output != "table":
        emit([row.to_dict() for row in found], output)
        return
    shared: dict[Row, list[str]] = {}
    members: dict[str, set[str]] = {}
    for row in found:
        shared.setdefault(dataclasses.replace(row, member=""), []).append(row.member)
        members.setdefault(row.cluster, set()).add(row.member)
    table = [
        {
            **row.to_dict(),
            "member": row.cluster if members[row.cluster] == set(own) else ", ".join(own),
            "line": " ".join(row.line.split()),
        }
        for row, own in shared.items()
    ]
    emit(table, output, columns=RULES)
