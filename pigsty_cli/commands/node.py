"""`pigsty node`: machines come and go."""

from __future__ import annotations

import click

from pigsty_cli.output import emit, message, output_option

ADDED = {"host": "HOST", "name": "NODE", "state": "STATE", "seconds": "SECONDS"}


@click.group("node", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Machines of the deployment: add, list, show, rm.

    \b
    Examples:
      pigsty node add 10.10.10.14 --test
      pigsty node list
    """


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
