"""`pigsty password`: passwords that the inventory leaves open, and their rotation."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from pigsty_cli.inventories import PLACES
from pigsty_cli.output import emit, message, output_option

COLUMNS = {
    "name": "NAME",
    "scope": "SCOPE",
    "source": "SOURCE",
    "generation": "GENERATION",
    "nodes": "NODES",
    "note": "NOTE",
}


@click.group("password")
def command() -> None:
    """Passwords of the system's own users: where each comes from, and new ones. Never shown.

    \b
    Examples:
      pigsty password list
      pigsty password rotate pg_replication_password
    """


@command.command("list")
@output_option
def list_(output: str) -> None:
    """Show where passwords come from: derived from the deployment's key, or declared, and where.

    Users of applications stand in `pg_users` of the inventory and aren't listed.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty password list
      pigsty password list -o json
    """
    from pigsty_cli import rotating, secrets

    topology = _topology()
    emit(secrets.rows(topology, rotating.site()), output, columns=COLUMNS)


@command.command("rotate")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-c", "--cluster", "clusters", multiple=True, help="Only of this cluster.")
@click.option("--all", "everything", is_flag=True, help="Every derived password.")
@click.option("--test", is_flag=True, help="Show what would be done; do nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask on a terminal.")
@output_option
def rotate(
    names: tuple[str, ...],
    clusters: tuple[str, ...],
    everything: bool,
    test: bool,
    yes: bool,
    output: str,
) -> None:
    """Give the passwords NAMEs, which the inventory leaves open, another value everywhere.

    NAME is a parameter such as pg_replication_password. One that the inventory declares is refused:
    it is changed there, in the line that the refusal names, and by `pigsty apply`. Passwords of
    etcd come last: Patroni learns its own before etcd does, and keeps its session until then.

    Effect: daemons reload, clients stay connected; no leader changes.

    \b
    Examples:
      pigsty password rotate pg_replication_password -c pg-test
      pigsty password rotate pg_etcd_password patroni_password
      pigsty password rotate --all --test
    """
    from pigsty_cli import rotating, secrets

    topology = _topology()
    if everything == bool(names):
        raise click.UsageError("name passwords, or say --all")
    what = shlex.join(
        ["pigsty", "password", "rotate", *names, *(f"-c{c}" for c in clusters)]
        + ["--all"] * everything
    )
    chosen = secrets.choose(topology, rotating.site(), names, clusters)
    rounds = secrets.rounds(chosen)
    for entry in chosen:
        message(f"  {entry.name} of {entry.scope}: {', '.join(entry.hosts)}")
    if test:
        emit([entry.to_dict() for entry in chosen], output)
        return
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("Go on?", default=True, abort=True, err=True)
    with rotating.hands(topology, what) as hands:
        hands.synced(tuple(topology.nodes))
        for one in rounds:
            secrets.carry_out(hands, one)
    emit([entry.to_dict(1) for entry in chosen], output)


def _topology() -> Any:
    from pigsty_cli import deployment
    from pigsty_cli.inventories import find

    return deployment.usable(find(PLACES[0])).topology
