"""`pigsty node`: machines come and go."""

from __future__ import annotations

import click

from pigsty_cli.output import emit, inventory_option, message, output_option

KEYS = {"id": "ID", "state": "STATE", "fingerprint": "FINGERPRINT"}
EVENTS = {"time": "TIME", "happened": "HAPPENED", "state": "STATE", "outcome": "OUTCOME"}
ADDED = {"host": "HOST", "name": "NODE", "state": "STATE", "seconds": "SECONDS"}


@click.group("node", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Machines of the deployment: add, list, show, rm.

    \b
    Examples:
      pigsty node add 10.10.10.14 --test
      pigsty node list
    """


MACHINES = {
    "host": "HOST",
    "name": "NODE",
    "modules": "MODULES",
    "minion": "MINION",
    "key": "KEY",
    "applied": "APPLIED",
    "note": "NOTE",
}


@command.command("list")
@inventory_option
@output_option
def list_(inventory: str | None, output: str) -> None:
    """List the hosts of the inventory and whoever else has shown the master a key.

    KEY is what the master thinks of the keys that came under this id: `accepted`, `pending` (nobody
    brought it there), `denied` (another key is accepted for this id), `rejected`. APPLIED says
    whether the host was converged as a whole once.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty node list
      pigsty node list -o json
    """
    from pigsty_cli import nodes

    rows, why = nodes.rows(inventory)
    emit([row.to_dict() for row in rows], output, columns=MACHINES)
    if why:
        message(f"The minions couldn't be asked: {why}")


@command.command("show")
@click.argument("host")
@inventory_option
@output_option
def show(host: str, inventory: str | None, output: str) -> None:
    """Show one machine: how it is reached, its keys with their fingerprints, what happened to it.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty node show 10.10.10.13
    """
    from pigsty_cli import nodes

    data = nodes.detail(host, inventory)
    if output != "table":
        emit(data, output)
        return
    emit({name: value for name, value in data.items() if name not in ("keys", "events")})
    for name, columns in (("keys", KEYS), ("events", EVENTS)):
        if data[name]:
            click.echo("")
            emit(data[name], columns=columns)


@command.command("forget")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@output_option
def forget(ids: tuple[str, ...], output: str) -> None:
    """Delete keys that were shown under an ID and that the master did not take.

    Keys that it did take stay: `pigsty node rm` ends those. Whoever shows such a key again is
    refused again, and told of again.

    Effect: none on any machine.

    \b
    Examples:
      pigsty node forget 10.9.9.9
    """
    from pigsty_cli import nodes

    emit(nodes.forget(ids), output, columns=KEYS)


@command.command("rm")
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@click.option("--dead", is_flag=True, help="The machines are gone for good.")
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
@click.option("--test", is_flag=True, help="Show exactly what would be done; do nothing.")
@output_option
@click.pass_context
def rm(
    ctx: click.Context, hosts: tuple[str, ...], dead: bool, yes: bool, test: bool, output: str
) -> None:
    """Take machines out of the deployment: our daemons, files and Salt go, the master forgets them.

    Take the HOST out of the inventory first (`pigsty plan` shows what depends on it). Refused while
    a member of a PostgreSQL cluster or of etcd lives there, by the word of the stores and not of
    the inventory: `pigsty pgsql rm` and `pigsty etcd rm` end those first. Packages, logs and users
    stay on the machine.

    When its key is deleted, the command has ended its work: that the others forget its name, and
    that nobody looks for its metrics, follows from that event.

    Effect: none on other machines.

    \b
    Examples:
      pigsty node rm 10.10.10.14 --test
      pigsty node rm 10.10.10.14
      pigsty node rm 10.10.10.15 --dead
    """
    from pigsty_cli import departing

    ctx.exit(departing.command(hosts, dead=dead, yes=yes, test=test, output=output))


@command.command("add")
@click.argument("targets", metavar="HOST...", nargs=-1, required=True)
@click.option("--user", metavar="NAME", default="", help="Log in as (default: ansible_user).")
@click.option("--key", metavar="FILE", default="", help="Private key of ssh.")
@click.option(
    "--fingerprint",
    "fingerprints",
    metavar="SHA256:…",
    multiple=True,
    help="Accept the host key that has this fingerprint (can be repeated).",
)
@click.option("--accept-host-key", is_flag=True, help="Accept a host key that nobody knows yet.")
@click.option(
    "--replace",
    is_flag=True,
    help="The machine was installed anew, or leaves another master: its old keys give way.",
)
@click.option("--test", is_flag=True, help="Look at the machine and say what would be done.")
@output_option
@click.pass_context
def add(
    ctx: click.Context,
    targets: tuple[str, ...],
    user: str,
    key: str,
    fingerprints: tuple[str, ...],
    accept_host_key: bool,
    replace: bool,
    test: bool,
    output: str,
) -> None:
    """Make bare machines nodes: Salt over ssh, a key that the master knows; the rest follows.

    HOST stands in the inventory already, with all that it shall be. The machine needs a supported
    operating system, python3 and ssh, with a login as root or with sudo that asks for no password;
    ansible_host, ansible_port, ansible_user and ansible_ssh_private_key_file are honoured. Salt
    comes from the admin node's own wheels, so the machine needs no way to anywhere else. Its key is
    made here and travels over ssh alone.

    When the minion connects, the command has ended its work: that it joins, converges, replicates,
    is routed to and watched follows from that event (`pigsty events HOST --follow`).

    Effect: none on machines that serve already.

    \b
    Examples:
      pigsty node add 10.10.10.14 --test
      pigsty node add 10.10.10.14 --fingerprint SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og
      pigsty node add 10.10.10.14 10.10.10.15 --user dba --accept-host-key
    """
    from pigsty_cli import deployment, enrolling, lock
    from pigsty_cli.inventories import PLACES, find

    topology = deployment.usable(find(PLACES[0])).topology
    wish = enrolling.Wish(
        targets, accept_host_key, fingerprints, replace, user=user, key=key, test=test
    )
    with lock.held(f"pigsty node add {' '.join(targets)}", enrolling.LOCK):
        rows = enrolling.add(topology, wish, message)
    if output == "table":
        emit([row.to_dict() for row in rows], columns=ADDED)
        enrolling.tell(rows, test=test)
    else:
        emit([row.to_dict() for row in rows], output)
    ctx.exit(enrolling.exit_code(rows))
