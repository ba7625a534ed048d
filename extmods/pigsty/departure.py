"""Whether a machine may leave the deployment, and what is undone then: decided before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pigsty.errors import PigstyError
from pigsty.render.files import File
from pigsty.topology import Topology

#: A daemon that our states configure has a drop-in of this name.
DROP_INS, DROP_IN = "/etc/systemd/system", "pigsty.conf"
#: What node states leave besides: sources that lead to the admin node, its kernel settings, the
#: shell's environment, the deployment's CA.
FILES = (
    "/etc/apt/sources.list.d/pigsty.sources",
    "/etc/sysctl.d/60-pigsty.conf",
    "/etc/profile.d/pigsty.sh",
    "/usr/local/share/ca-certificates/pigsty-ca.crt",
    "/etc/pki/ca.crt",
)
#: Daemons with a drop-in of ours that the machine needs whoever it belongs to.
KEPT = frozenset({"chrony.service", "ssh.service"})


class DepartureRefused(PigstyError):
    """The machine must not leave now: nothing was changed."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class World:
    """What is known of a machine when somebody asks for its departure.

    Attributes:
        host: its address, which is its minion's id.
        accepted: whether the master has accepted a key of it.
        answers: whether its minion answers.
        missing: why it doesn't.
        postgres: members of PostgreSQL clusters that live there: their cluster and name.
        etcd: name of the member of etcd that lives there, "" for none.
    """

    host: str
    accepted: bool
    answers: bool
    missing: str = ""
    postgres: tuple[tuple[str, str], ...] = ()
    etcd: str = ""


@dataclass(frozen=True, slots=True)
class Departure:
    """What will be done.

    Attributes:
        host: about whom.
        clean: whether its daemons are stopped and our files deleted there.
        key: whether the master forgets its key.
        sentences: the same for a person.
    """

    host: str
    clean: bool
    key: bool
    sentences: tuple[str, ...]


def departure(topology: Topology, world: World, *, dead: bool = False) -> Departure:
    """Decide how a machine leaves.

    Args:
        topology: the inventory, which has it no more.
        world: the machine.
        dead: a person says that it is gone for good.

    Raises:
        DepartureRefused: it stands in the inventory, somebody lives on it, or it doesn't answer
            without being called dead.
    """
    host = world.host
    if host in topology.nodes:
        raise DepartureRefused(
            f"{host} stands in the inventory: take it out there first, because targets, hosts and "
            "services follow from it"
        )
    flag = " --dead" if dead else ""
    if world.postgres:
        cluster, member = world.postgres[0]
        raise DepartureRefused(
            f"{member} of {cluster} lives on {host}: `pigsty pgsql rm {cluster} {member}{flag}`"
        )
    if world.etcd:
        raise DepartureRefused(f"{world.etcd} lives on {host}: `pigsty etcd rm {world.etcd}{flag}`")
    if dead and world.answers:
        raise DepartureRefused(f"{host} answers: it is not dead")
    if world.accepted and not world.answers and not dead:
        raise DepartureRefused(
            f"{host} can't be cleaned up: {world.missing}. --dead takes out one that is gone for "
            "good"
        )
    return Departure(host, world.answers, world.accepted, _sentences(world))


def _sentences(world: World) -> tuple[str, ...]:
    host, found = world.host, []
    if world.answers:
        found.append(
            f"{host}: our daemons are stopped and disabled, our sources, settings and names are "
            "taken away; packages, logs and users stay"
        )
        found.append(f"{host}: its minion is stopped and Salt deleted")
    if world.accepted:
        found.append(f"the master forgets the key of {host}")
    found.append(f"the others forget {host}: names, targets")
    return tuple(found)


def units(drop_ins: Sequence[str]) -> list[str]:
    """Return the daemons that stop, by the folders of their drop-ins (``haproxy.service.d``)."""
    names = sorted(folder.removesuffix(".d") for folder in drop_ins)
    return [name for name in names if name not in KEPT]


def files(drop_ins: Sequence[str]) -> list[File]:
    """Return what is deleted: drop-ins, and what node states leave besides."""
    paths = [f"{DROP_INS}/{name}.d/{DROP_IN}" for name in units(drop_ins)]
    return [File(path, None) for path in (*paths, *FILES)]
