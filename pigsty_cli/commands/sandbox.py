"""`pigsty sandbox`: real nodes on this machine, and failures on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pigsty_cli.output import emit, output_option

if TYPE_CHECKING:
    from pigsty_cli.sandbox.lifecycle import Sandbox


def _sandbox() -> Sandbox:
    from pigsty_cli.sandbox.lifecycle import Sandbox
    from pigsty_cli.sandbox.progress import Progress

    return Sandbox(progress=Progress())


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Four real nodes on this machine (needs root): boot them, use them, break them.

    HOST is an address, the node's first name (node-10) or the name that it has by now (pg-meta-1).

    \b
    Examples:
      pigsty sandbox up
      pigsty sandbox exec pg-test-1 -- uptime
      pigsty sandbox kill pg-test-1            a power cut
    """


@command.command()
@click.option(
    "-i",
    "--inventory",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Boot a node for each host of this inventory. "
    "Default: the one the sandbox has, else pillar/inventory/sandbox.yml.",
)
def up(inventory: Path | None) -> None:
    """Boot the nodes, with the Salt master and all minions connected."""
    _sandbox().up(inventory)


@command.command()
def down() -> None:
    """Shut the nodes down; their disks stay."""
    _sandbox().down()


@command.command()
@output_option
def status(output: str) -> None:
    """List the nodes: address, name, state, seconds since boot."""
    emit(_sandbox().status(), output, columns=["host", "name", "state", "uptime"])


@command.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("host")
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(host: str, cmd: tuple[str, ...]) -> None:
    """Run CMD in a node as root; its exit code is ours.

    \b
    pigsty sandbox exec 10.10.10.10 -- salt '*' test.ping
    """
    words = cmd[1:] if cmd[0] == "--" else cmd
    if not words:
        raise click.UsageError("which command?")
    _sandbox().node(host).become(words)


@command.command()
@click.argument("host")
def shell(host: str) -> None:
    """Open a root shell in a node."""
    _sandbox().node(host).become(["/bin/bash", "--login"])


@command.command()
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
def kill(hosts: tuple[str, ...]) -> None:
    """Cut the power of nodes: nothing in them has time to do anything."""
    sandbox = _sandbox()
    for host in hosts:
        sandbox.kill(host)


@command.command()
@click.argument("host")
def bare(host: str) -> None:
    """Throw a node's disk away and boot it bare: Debian, ssh, no Salt.

    It is the machine that one buys, for `pigsty node add`; root of the admin node may log in.
    """
    _sandbox().bare(host)


@command.command()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
def start(hosts: tuple[str, ...]) -> None:
    """Switch nodes on again with the disks that they had (all, when none is named)."""
    _sandbox().start(hosts)


@command.command()
@click.argument("host")
@click.option(
    "--from",
    "others",
    multiple=True,
    metavar="HOST",
    help="Cut it off from this node only (can be repeated). Default: from everything.",
)
def partition(host: str, others: tuple[str, ...]) -> None:
    """Cut a node's network; `exec` and `shell` still reach it."""
    _sandbox().partition(host, others)


@command.command()
@click.argument("host", required=False)
def heal(host: str | None) -> None:
    """Undo the partitions of a node (of all, when none is named)."""
    _sandbox().heal(host)


@command.command()
@click.option("--cache", is_flag=True, help="Also remove images, wheels and package archives.")
def destroy(cache: bool) -> None:
    """Remove the nodes, their disks, and whatever a crash left of them."""
    _sandbox().destroy(cache=cache)
