"""`pigsty init`: makes the machine at hand an admin node."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pigsty.wording import counted
from pigsty_cli.errors import Refused
from pigsty_cli.output import inventory_option, message

if TYPE_CHECKING:
    from pigsty_cli.bootstrap.settings import Settings


@click.command()
@inventory_option
@click.option(
    "--minions",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also make key and configuration for each host that the master does not know yet, in a "
    "folder of its own to be copied to the host's root.",
)
def command(inventory: str | None, minions: Path | None) -> None:
    """Make this machine an admin node, and say line by line what that changed.

    It installs the inventory, makes the deployment's key and certificate authority when there are
    none, and configures and starts the Salt master and this machine's own minion. What is there and
    right is left alone, so it can be run again after every change.

    \b
    Examples:
      pigsty init -i pigsty.yml
      pigsty init --minions /tmp/parcels     also keys for nodes elsewhere
    """
    from pigsty_cli.bootstrap import admin, layout, minion, services, settings
    from pigsty_cli.bootstrap.files import Tree
    from pigsty_cli.inventories import find
    from pigsty_cli.sandbox.process import run

    path = find(inventory)
    read = settings.read(path)
    _check(read, path)
    tree = Tree(Path("/"))
    if not tree.exists(layout.SOURCE):
        tree.link(layout.SOURCE, str(layout.REPOSITORY))
    master_key = admin.prepare(tree, read, inventory=path.read_bytes())
    for host in read.hosts if minions else ():
        if minions and not admin.knows(tree, host):
            parcel = Tree(minions / host)
            public = minion.prepare(parcel, host=host, master=read.admin, master_key=master_key)
            admin.accept(tree, host, public)
            message(f"made {parcel.root}: copy what is in it to / on {host}")
    for name in tree.changes:
        message(f"wrote {name}")
    for line in services.refresh(tree, run):
        message(line)
    message(f"{read.admin} is the admin node of {counted(len(read.hosts), 'host')}")


def _check(read: Settings, path: Path) -> None:
    """Refuse, before anything is changed, a machine that can't be the admin node."""
    import os

    if os.geteuid() != 0:
        raise Refused("an admin node's files belong to root: run it as root")
    if not Path("/run/systemd/system").is_dir():
        raise Refused("systemd does not run here, and the Salt services need it")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((read.admin, 0))  # only an address of this machine can be bound
        except OSError as error:
            raise Refused(
                f"{path}: its admin node is {read.admin}, which is no address of this machine"
            ) from error
