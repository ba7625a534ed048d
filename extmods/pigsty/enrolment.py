"""Whether a machine may become a minion, and what is missing there: decided before it is touched.

:class:`Facts` is what the machine says of itself over ssh, :class:`Wanted` what the admin node has
for it. Nothing here asks anybody anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from pigsty.errors import PigstyError

#: The oldest Python that Salt and this project run with.
OLDEST = (3, 11)
#: Free bytes that Salt needs below /opt while it is installed: the wheels, and what is in them.
ROOM = 600 * 2**20

Step = Literal["salt", "files", "accept", "start"]
#: What each step does, as a person would say it.
SAYS: Mapping[Step, str] = {
    "salt": "Salt is installed from the admin node's wheels",
    "files": "it gets its configuration, a key of its own and the master's public key",
    "accept": "the master learns its public key",
    "start": "its minion is started",
}


class EnrolmentRefused(PigstyError):
    """The machine can't become a minion, or must not: nothing was changed."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine by its own word.

    Attributes:
        system: ``<id>-<major>`` of its operating system, for example ``debian-13``.
        machine: its architecture, for example ``x86_64``.
        python: version of its ``python3``, ``3.13.5``.
        systemd: whether systemd runs it.
        address: whether the host's address in the inventory is one of its own.
        room: free bytes below /opt.
        salt: version of Salt in our folder, "" for none or for half of one.
        id: the minion's id by its configuration, "" for none.
        master: address of the minion's master by its configuration.
        public: the minion's public key, "" for none.
        trusts: the public key of the master that it trusts, "" for none.
        active: whether its minion runs.
    """

    system: str
    machine: str
    python: str
    systemd: bool
    address: bool
    room: int
    salt: str
    id: str
    master: str
    public: str
    trusts: str
    active: bool

    @classmethod
    def from_dict(cls, data: Any) -> Facts:
        """Read what the machine printed.

        Raises:
            EnrolmentRefused: it is something else.
        """
        if not isinstance(data, Mapping):
            raise EnrolmentRefused("the machine's answer can't be read")
        kinds = {"str": str, "bool": bool, "int": int}
        found: dict[str, Any] = {}
        for item in fields(cls):
            value = data.get(item.name)
            if type(value) is not kinds[str(item.type)]:
                raise EnrolmentRefused(f"the machine's answer has no usable {item.name!r}")
            found[item.name] = value
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the admin node has for a machine.

    Attributes:
        host: its address in the inventory, which becomes the minion's id.
        master: the admin node's address.
        trusts: the master's public key.
        known: the public key that the master knows for this id, "" for none.
        connected: whether a minion of this id is connected now.
        salt: version of Salt in the wheels.
        python: ``3.13``, which the wheels are for.
        machine: the architecture that they are for.
        systems: operating systems that the states know.
    """

    host: str
    master: str
    trusts: str
    known: str
    connected: bool
    salt: str
    python: str
    machine: str
    systems: tuple[str, ...]


def steps(facts: Facts, wanted: Wanted, *, replace: bool = False) -> tuple[Step, ...]:
    """Return what is to be done, in order; nothing for a machine that is a minion of ours already.

    Args:
        facts: the machine.
        wanted: what there is for it.
        replace: a key that the master knows for this id, and a master that the machine trusts, may
            give way to ours.

    Raises:
        EnrolmentRefused: it can't be, or it would harm; the text says what would be right.
    """
    _fit(facts, wanted)
    ours = bool(facts.public) and facts.public == wanted.known
    if not replace:
        _free(facts, wanted, ours=ours)
    found: list[Step] = []
    if facts.salt != wanted.salt:
        found.append("salt")
    whole = ours and facts.trusts == wanted.trusts
    whole = whole and (facts.id, facts.master) == (wanted.host, wanted.master)
    if not whole:
        found += ["files", "accept"]
    if found or not facts.active or not wanted.connected:
        found.append("start")
    return tuple(found)


def _fit(facts: Facts, wanted: Wanted) -> None:
    """Refuse a machine on which nothing of ours could run."""
    if not facts.address:
        raise EnrolmentRefused(
            f"{wanted.host} is no address of the machine that answered: look at ansible_host in "
            "the inventory, and at who has that address"
        )
    if facts.system not in wanted.systems:
        raise EnrolmentRefused(
            f"its operating system is {facts.system or 'unknown'}; supported are "
            f"{', '.join(wanted.systems)}"
        )
    if not facts.systemd:
        raise EnrolmentRefused("systemd doesn't run there, and every service needs it")
    version = tuple(int(part) for part in facts.python.split(".")[:2])
    if version < OLDEST:
        raise EnrolmentRefused(
            f"its python3 is {facts.python}; Salt needs {'.'.join(map(str, OLDEST))} or newer"
        )
    if facts.salt == wanted.salt:
        return
    if facts.machine != wanted.machine:
        raise EnrolmentRefused(
            f"its architecture is {facts.machine}, the admin node's wheels are for {wanted.machine}"
        )
    if ".".join(map(str, version)) != wanted.python:
        raise EnrolmentRefused(
            f"its python3 is {facts.python}, the admin node's wheels are for {wanted.python}: both "
            "have to run the same release of the operating system"
        )
    if facts.room < ROOM:
        raise EnrolmentRefused(
            f"only {facts.room // 2**20} MiB are free below /opt; Salt needs {ROOM // 2**20}"
        )


def _free(facts: Facts, wanted: Wanted, *, ours: bool) -> None:
    """Refuse to take a machine from its master, and an id from its machine."""
    if facts.trusts and facts.trusts != wanted.trusts:
        raise EnrolmentRefused(
            f"it is a minion of another master ({facts.master or 'unknown'}). Take it out there "
            "first; --replace makes it ours all the same"
        )
    if ours or not wanted.known:
        return
    if wanted.connected:
        raise EnrolmentRefused(
            f"another machine is connected as {wanted.host} with the key that the master knows. "
            f"`pigsty node show {wanted.host}` tells of it"
        )
    raise EnrolmentRefused(
        f"the master knows another key for {wanted.host}. If this is the same host, installed "
        "anew, say --replace; else find out who it is"
    )
