"""`pigsty pgsql add|rm`."""

from __future__ import annotations

import click

from pigsty_cli.output import output_option


@click.command("add")
@click.argument("cluster")
@click.argument("members", metavar="[MEMBER]...", nargs=-1)
@click.option("--test", is_flag=True, help="Show exactly what would change; change nothing.")
@output_option
@click.pass_context
def add(
    ctx: click.Context, cluster: str, members: tuple[str, ...], test: bool, output: str
) -> None:
    """Make the MEMBERs of CLUSTER that the inventory has and that don't live yet, or some of them.

    Edit the inventory first: the new host below the cluster, with `pg_seq` and `pg_role: replica`
    (or a whole new cluster). A MEMBER is an address or an instance's name. The new members get all
    that a node and a member need and copy the data; the others let them in meanwhile. When they
    stream, the services lead to them, and the command ends when HAProxy sends connections there.

    Refused while the cluster is paused or has no leader to copy from, and when a new member's
    minion doesn't answer.

    Effect: nobody is disconnected; the copy takes bandwidth of the member that it is taken from.

    \b
    Examples:
      pigsty pgsql add pg-test --test
      pigsty pgsql add pg-test 10.10.10.13
    """
    from pigsty_cli import adding

    ctx.exit(adding.command(cluster, members, test=test, output=output))


@click.command("rm")
@click.argument("cluster")
@click.argument("members", metavar="[MEMBER]...", nargs=-1)
@click.option("--switchover", is_flag=True, help="A member that leads hands the lead over first.")
@click.option("--dead", is_flag=True, help="Their machines are gone for good.")
@click.option("--backups", is_flag=True, help="Delete the backups too (whole cluster only).")
@click.option("--yes", "-y", is_flag=True, help="Don't ask for the cluster's name.")
@click.option("--test", is_flag=True, help="Show exactly what would be done; do nothing.")
@output_option
@click.pass_context
def rm(
    ctx: click.Context,
    cluster: str,
    members: tuple[str, ...],
    switchover: bool,
    dead: bool,
    backups: bool,
    yes: bool,
    test: bool,
    output: str,
) -> None:
    """Remove MEMBERs of CLUSTER with their data; without MEMBERs the WHOLE cluster.

    Take them out of the inventory first: then the others' services, HBA rules and hosts follow with
    the same command. It works before that as well, but the next apply would make them again.

    Who leads is asked in etcd, not in the inventory. Refused: a member that leads while others live
    (--switchover hands over first), the last one that synchronous commits wait for, a cluster that
    is paused or has no leader, whatever has `pg_safeguard: true`, a machine that doesn't answer
    (--dead is for one that is gone for good). Backups stay, unless the whole cluster goes and
    --backups or `pg_rm_backup: true` says so; `pg_rm_data: false` keeps the data.

    Effect: its data are gone. Sessions on these members end; the others serve on.

    \b
    Examples:
      pigsty pgsql rm pg-test pg-test-3 --test
      pigsty pgsql rm pg-test 10.10.10.13
      pigsty pgsql rm pg-old
    """
    from pigsty.removal import Wish
    from pigsty_cli import removing

    wish = Wish(members, dead=dead, switchover=switchover, backups=backups)
    ctx.exit(removing.command(cluster, wish, yes=yes, test=test, output=output))


@click.command("upgrade")
@click.argument("cluster")
@click.option("--yes", "-y", is_flag=True, help="Don't ask for the cluster's name.")
@click.option("--test", is_flag=True, help="Show who gets what and in which order; do nothing.")
@output_option
def upgrade(cluster: str, yes: bool, test: bool, output: str) -> None:
    """Bring the newest minor release of PostgreSQL to CLUSTER, one member after the other.

    Replicas come first: packages, restart, and the next one when it streams again. Then the lead
    moves to one that is new already, and the old leader comes last. A cluster of one restarts in
    place. What is to be done is read from the machines, so that after an interruption the same
    command goes on where it stopped. Packages come from the machines' own sources: to renew the
    local repository first, see `docs/repository.md`.

    Refused while the cluster is paused, has no healthy leader, or a member doesn't answer.

    Effect: writes wait for one or two seconds at the switchover; a member's connections are closed
    while it restarts.

    \b
    Examples:
      pigsty pgsql upgrade pg-test --test
      pigsty pgsql upgrade pg-test
    """
    from pigsty_cli import upgrading

    upgrading.command(cluster, yes=yes, test=test, output=output)


COMMANDS = (add, rm, upgrade)
