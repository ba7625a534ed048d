"""`pigsty cert`: certificates of the deployment, and their rotation."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from pigsty.wording import counted
from pigsty_cli.errors import Refused
from pigsty_cli.inventories import PLACES
from pigsty_cli.output import emit, message, output_option

if TYPE_CHECKING:
    from pigsty.topology import Topology

COLUMNS = {
    "host": "HOST",
    "node": "NODE",
    "role": "ROLE",
    "path": "PATH",
    "expires": "EXPIRES",
    "days": "DAYS",
    "state": "STATE",
    "outdated": "NOT SHOWN BY",
}


@click.group("cert")
def command() -> None:
    """Certificates: what there is, when it ends, and new ones before that.

    \b
    Examples:
      pigsty cert list
      pigsty cert rotate pg-test
      pigsty cert rotate --ca --test
    """


@command.command("list")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@output_option
def list_(targets: tuple[str, ...], output: str) -> None:
    """Show the certificates of TARGETs (of all nodes without one), read on the machines.

    STATE is `valid`, or why the next apply makes the certificate anew. NOT SHOWN BY names daemons
    that show clients another certificate than the one on disk, or none. `-o json` has the names and
    addresses that each is good for.

    Effect: none, it only reads.

    \b
    Examples:
      pigsty cert list
      pigsty cert list pg-test -o json
    """
    from pigsty_cli import rotating
    from pigsty_cli.saltapi import Master

    topology = _topology()
    hosts = _hosts(topology, targets)
    with Master() as master:
        view = rotating.Hands(master, topology, _nobody, message)
        found = view.certificates(hosts)
    emit(rotating.rows(topology, rotating.site(), found), output, columns=COLUMNS)


@command.command("rotate")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@click.option("-m", "--module", "modules", multiple=True, help="Only pgsql, etcd, infra or node.")
@click.option("--ca", is_flag=True, help="Replace the CA, and all certificates with it.")
@click.option("--test", is_flag=True, help="Show what would be done; do nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask on a terminal.")
@output_option
def rotate(
    targets: tuple[str, ...],
    modules: tuple[str, ...],
    ca: bool,
    test: bool,
    yes: bool,
    output: str,
) -> None:
    """Make keys and certificates of TARGETs anew: of all nodes, unless some are named.

    Members of a cluster have their turn one after the other, the leader last; each member's daemons
    show the new certificate before the next one begins. With --ca the CA itself is replaced: first
    every node trusts the next one beside the present one, then all certificates are made anew under
    it, then nobody trusts the old one. Cut off, it goes on with the next `pigsty cert rotate --ca`;
    --test says with which phase. A pair of your own in /etc/pigsty/pki/ca.next.key and ca.next.crt
    is taken instead of a new one.

    Effect: daemons reload, clients stay connected. With --ca etcd restarts in turn, twice.

    \b
    Examples:
      pigsty cert rotate
      pigsty cert rotate pg-test --test
      pigsty cert rotate -m etcd
      pigsty cert rotate --ca
    """
    from pigsty import targets as naming
    from pigsty_cli import rotating

    topology = _topology()
    if ca and (targets or modules):
        raise click.UsageError("--ca is about all nodes: name no target and no module")
    hosts = _hosts(topology, targets)
    wanted = naming.modules(modules)
    what = shlex.join(
        ["pigsty", "cert", "rotate", *targets, *(f"-m{m}" for m in modules), *["--ca"] * ca]
    )
    with rotating.hands(topology, what + (" --test" if test else "")) as hands:
        hands.synced(hosts)
        if ca:
            emit(_replace(hands, test=test, yes=yes), output)
            return
        chosen = rotating.roles(topology, hosts, wanted)
        if not chosen:
            raise Refused("none of the targets has any such certificate: nothing to do")
        concerned = tuple(dict.fromkeys(host for host, _role in chosen))
        turns = hands.turns(concerned)
        many = f"{counted(len(chosen), 'certificate')} in {counted(len(turns), 'turn')}"
        message(f"{many}: {_told(turns)}")
        if not test:
            _confirm(yes)
            _rotate(hands, chosen, concerned)
        found = hands.certificates(concerned)
        names = {role for _host, role in chosen}
        table = rotating.rows(topology, rotating.site(), found)
        emit([row for row in table if row["role"] in names], output, columns=COLUMNS)


def _rotate(hands: Any, chosen: list[tuple[str, str]], hosts: tuple[str, ...]) -> None:
    """Note that certificates are outdated, and have them made anew in turn."""
    from datetime import UTC, datetime

    from pigsty_cli import rotating

    noted = rotating.site().rotation.new_certificates(chosen, datetime.now(UTC))
    rotating.note(noted)
    hands.reissue(hosts, tuple(sorted({role for _host, role in chosen})))


def _replace(hands: Any, *, test: bool, yes: bool) -> dict[str, Any]:
    """Replace the CA, from the phase that the machines are in."""
    from pigsty import authority
    from pigsty_cli import replacing
    from pigsty_cli.bootstrap import settings

    found = hands.certificates(tuple(hands.topology.nodes))
    files = replacing.files()
    now = authority.phase(files, replacing.nodes(found))
    # Bundles on disk don't tell that their daemons have read them: an apply does.
    first = "trust" if now.name == "sign" and not files.old else now.name
    plan = authority.steps(first)
    message(f"Next phase: {first}, {authority.PHASES[first]}")
    if test:
        return {"next": first, "hosts": list(now.hosts), "phases": list(plan), "done": []}
    _confirm(yes)
    declared = settings.read(hands.topology.inventory.file)
    done = replacing.run(hands, declared.ca_cn, first)
    return {"next": "", "hosts": [], "phases": list(plan), "done": done}


def _topology() -> Topology:
    from pigsty_cli import deployment
    from pigsty_cli.inventories import find

    return deployment.usable(find(PLACES[0])).topology


def _hosts(topology: Topology, targets: tuple[str, ...]) -> tuple[str, ...]:
    from pigsty.targets import resolve

    return resolve(topology, targets)


def _told(turns: list[tuple[str, ...]]) -> str:
    return "; ".join(", ".join(turn) for turn in turns)


def _confirm(yes: bool) -> None:
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("Go on?", default=True, abort=True, err=True)


def _nobody(_hosts: Any) -> Any:
    raise AssertionError("a look applies nothing")
