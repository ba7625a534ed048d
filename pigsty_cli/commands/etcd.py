"""`pigsty etcd`: members of the store where clusters keep who leads."""

from __future__ import annotations

import click

from pigsty_cli.output import emit, inventory_option, output_option

COLUMNS = {
    "member": "MEMBER",
    "host": "HOST",
    "role": "ROLE",
    "health": "HEALTH",
    "declared": "DECLARED",
    "id": "ID",
}


@click.group("etcd", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Members of etcd: list, add, rm.

    \b
    Examples:
      pigsty etcd list
      pigsty etcd add --test
    """


@command.command("list")
@inventory_option
@output_option
def list_(inventory: str | None, output: str) -> None:
    """List the members, by the inventory and by the cluster's own word.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty etcd list
    """
    from pigsty_cli import deployment, membership
    from pigsty_cli.inventories import find

    emit(membership.rows(deployment.load(find(inventory))), output, columns=COLUMNS)


@command.command("add")
@click.argument("members", metavar="[MEMBER]...", nargs=-1)
@click.option("--test", is_flag=True, help="Show exactly what would change; change nothing.")
@output_option
@click.pass_context
def add(ctx: click.Context, members: tuple[str, ...], test: bool, output: str) -> None:
    """Make the MEMBERs of the inventory that don't belong to etcd yet, or some of them.

    Edit the inventory first: the host in the group of etcd, with `etcd_seq`. The new ones join one
    after the other and copy the data; then Patroni, vip-manager and the other members learn of
    them. After an interruption the same command goes on.

    Refused while so few members are healthy that one more would cost the majority.

    Effect: none on those that run; nobody is restarted.

    \b
    Examples:
      pigsty etcd add --test
      pigsty etcd add etcd-2 etcd-3
    """
    from pigsty_cli import membership

    ctx.exit(membership.add(members, test=test, output=output))


@command.command("rm")
@click.argument("member")
@click.option("--dead", is_flag=True, help="Its machine is gone for good.")
@click.option("--yes", "-y", is_flag=True, help="Don't ask for the member's name.")
@click.option("--test", is_flag=True, help="Show exactly what would be done; do nothing.")
@output_option
@click.pass_context
def rm(ctx: click.Context, member: str, dead: bool, yes: bool, test: bool, output: str) -> None:
    """Remove MEMBER (a name, an address or an ID) from etcd, with its data.

    Take it out of the group in the inventory first. Patroni, vip-manager and the other members are
    told before it leaves, so that nobody asks it any more. After an interruption the same command
    goes on; once the store has let the member go, say its address.

    Refused for the last member, and where too few of the others are healthy to go on without it.

    Effect: its copy of the store is gone; databases serve on.

    \b
    Examples:
      pigsty etcd rm etcd-3 --test
      pigsty etcd rm 10.10.10.12 --dead
    """
    from pigsty_cli import membership

    ctx.exit(membership.rm(member, dead=dead, yes=yes, test=test, output=output))
