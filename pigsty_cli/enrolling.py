"""`pigsty node add`: bare machines become minions, over ssh; what follows, events bring about."""

from __future__ import annotations

import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pigsty import applied, enrolment, journal, platform
from pigsty.clients import keys
from pigsty.deadlines import DeadlineExceeded, wait_until
from pigsty.enrolment import Facts, Step, Wanted
from pigsty.errors import PigstyError
from pigsty.targets import resolve
from pigsty.topology import Node, Topology
from pigsty_cli import exitcodes, ssh
from pigsty_cli.bootstrap import admin, layout, minion, wheelhouse
from pigsty_cli.bootstrap.files import Tree
from pigsty_cli.bootstrap.wheelhouse import Wheelhouse
from pigsty_cli.errors import CliError, Refused
from pigsty_cli.output import message
from pigsty_cli.saltapi import Master
from pigsty_cli.ssh import Door

#: Held while machines are enrolled: two at once would make two keys for one of them.
LOCK = Path("/run/pigsty/enrolment.lock")
#: The admin node's own root.
ADMIN = Path("/")
#: Parcels with private keys are made here, in memory.
PARCELS = Path("/run/pigsty")
PROGRAM = Path(__file__).with_name("bootstrap") / "onnode.py"
#: Machines that are enrolled at a time.
PARALLEL = 8

Say = Callable[[str], None]


@dataclass(slots=True)
class Row:
    """How it went with one machine.

    Attributes:
        host: its address.
        name: the node's name.
        state: ``would be added``, ``added``, ``is a minion already``, or ``failed``.
        steps: what was done, or would be.
        seconds: how long it took.
        error: what kept it from being added.
    """

    host: str
    name: str
    state: str = "failed"
    steps: list[Step] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for.

    Attributes:
        words: whom to add.
        accept: host keys that nobody knows yet are accepted.
        fingerprints: host keys with these fingerprints are.
        replace: a key that the master knows, and another master, give way.
        user: login name, "" for the inventory's.
        key: file of a private key, "" for the inventory's.
        test: only look.
    """

    words: tuple[str, ...]
    accept: bool = False
    fingerprints: tuple[str, ...] = ()
    replace: bool = False
    user: str = ""
    key: str = ""
    test: bool = False


def add(topology: Topology, wish: Wish, say: Say) -> list[Row]:
    """Make machines of the inventory minions of this master.

    Args:
        topology: the inventory.
        wish: whom, and how.
        say: takes a line of progress.

    Returns:
        A row for each machine; one that failed doesn't keep the others from it.

    Raises:
        TargetError: a word means no host of the inventory.
        Refused: there is no master here.
    """
    hosts = [host for host in resolve(topology, wish.words) if host != topology.admin_ip]
    if not hosts:
        raise Refused(f"{topology.admin_ip} is the admin node itself: `pigsty init` made it one")
    master_key = Tree(ADMIN).path(f"{layout.MASTER_PKI}/{layout.MASTER_ID}.pub")
    if not master_key.exists():
        raise Refused("there is no Salt master on this machine: `pigsty init` makes one")
    with Master() as master:
        wheels = wheelhouse.find()
        if wheels is None:
            say(f"making Salt's wheels in {layout.WHEELS} (some minutes, once)")
            wheels = wheelhouse.build()
        enrolment_ = _Enrolment(topology, wish, say, master, master_key.read_text().strip(), wheels)
        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(enrolment_.one, hosts))


class _Enrolment:
    """One run of the command."""

    def __init__(
        self,
        topology: Topology,
        wish: Wish,
        say: Say,
        master: Master,
        trusts: str,
        wheels: Wheelhouse,
    ) -> None:
        self._topology, self._wish, self._say = topology, wish, say
        self._master, self._trusts, self._wheels = master, trusts, wheels
        self._systems = tuple(sorted(p.name for p in platform.DIRECTORY.iterdir() if p.is_dir()))
        self._known = {k.id: k.public for k in keys.read(keys.PKI) if k.state == "accepted"}

    def one(self, host: str) -> Row:
        """Enrol one machine, in a thread of its own."""
        node, begin = self._topology.nodes[host], time.monotonic()
        row = Row(host, node.name)
        try:
            self._enrol(node, row)
        except PigstyError as error:
            row.state, row.error = "failed", str(error)
            self._say(f"{host}: {error}")
        except OSError as error:
            row.state, row.error = "failed", f"{error.filename}: {error.strerror}"
        row.seconds = round(time.monotonic() - begin, 1)
        return row

    def _enrol(self, node: Node, row: Row) -> None:
        door = door_of(node, self._wish)
        _confirm(door, self._wish)
        try:
            facts = Facts.from_dict(ssh.call(door, _program("look", node.ip), "enrolment.look"))
        except ssh.HostKeyUnknown as error:
            raise Refused(_shown(door)) from error
        wanted = self._wanted(node.ip)
        row.steps = list(enrolment.steps(facts, wanted, replace=self._wish.replace))
        if not row.steps:
            row.state = "is a minion already"
            return
        if self._wish.test:
            row.state = "would be added"
            return
        # What was settled about an earlier machine of this address isn't true of this one.
        with suppress(journal.JournalError):
            record = journal.Journal(journal.PATH)
            applied.forget(record, node.ip)
            record.close()
        if "salt" in row.steps or "files" in row.steps:
            self._bring(door, node.ip, row.steps)
        self._say(f"{node.ip}: starts")
        ssh.call(door, _program("start", node.ip), "enrolment.start")
        try:
            wait_until(
                lambda: node.ip in self._master.connected(),
                "salt.minion",
                f"the minion of {node.ip} connects",
            )
        except DeadlineExceeded as error:
            raise CliError(
                f"{error}: is port 4505 of {self._topology.admin_ip} open to it?"
            ) from None
        row.state = "added"
        self._say(f"{node.ip}: is a minion")

    def _wanted(self, host: str) -> Wanted:
        return Wanted(
            host=host,
            master=self._topology.admin_ip,
            trusts=self._trusts,
            known=self._known.get(host, ""),
            connected=host in self._master.connected(),
            salt=self._wheels.salt,
            python=self._wheels.python,
            machine=self._wheels.machine,
            systems=self._systems,
        )

    def _bring(self, door: Door, host: str, steps: Sequence[Step]) -> None:
        """Bring Salt and files there; then the master learns the key, which nobody uses before."""
        PARCELS.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PARCELS, prefix="parcel.") as folder:
            parcel, public = Tree(Path(folder)), b""
            if "files" in steps:
                trusts = self._trusts.encode()
                public = minion.prepare(
                    parcel, host=host, master=self._topology.admin_ip, master_key=trusts
                )
            self._say(f"{host}: gets {'Salt and ' if 'salt' in steps else ''}its files")
            wheels = self._wheels if "salt" in steps else None
            ssh.call(
                door,
                _program("receive", host),
                "enrolment.receive",
                lambda stream: pack(stream, parcel.root, wheels),
            )
        if public:
            admin.accept(Tree(ADMIN), host, public)


def door_of(node: Node, wish: Wish) -> Door:
    """Return how a machine is reached, by the inventory and the person's own words."""
    values = node.vars
    return Door(
        host=node.ip,
        target=str(values.get("ansible_host") or node.ip),
        port=int(values.get("ansible_port") or values.get("ansible_ssh_port") or 22),
        user=wish.user or str(values.get("ansible_user") or values.get("ansible_ssh_user") or ""),
        key=wish.key or str(values.get("ansible_ssh_private_key_file") or ""),
        accept=wish.accept,
    )


def _confirm(door: Door, wish: Wish) -> None:
    """See to the host keys that a person has confirmed, before ssh asks for them.

    Raises:
        Refused: the machine shows none of them.
    """
    if wish.replace:
        # A machine that was installed anew has another one.
        ssh.remember(door.host, ())
    if not wish.fingerprints or ssh.remembered(door.host):
        return
    chosen = [key for key in ssh.offered(door) if ssh.fingerprint(key) in wish.fingerprints]
    if not chosen:
        raise Refused(_shown(door))
    ssh.remember(door.host, chosen)


def _shown(door: Door) -> str:
    """Return the text of a refusal that shows which host keys a machine offers."""
    found = sorted((ssh.fingerprint(key), key.split()[0]) for key in ssh.offered(door))
    if not found:
        return f"nothing answers as ssh at {door.target}, port {door.port}"
    shown = ", ".join(f"{mark} ({kind})" for mark, kind in found)
    what = "nobody has confirmed its host key"
    if ssh.remembered(door.host):
        what = "its host key is another one than before (installed anew? Then say --replace)"
    return (
        f"{what}. It shows {shown}. Compare it with "
        "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's own console, then say "
        "--fingerprint SHA256:…; --accept-host-key takes whatever is shown"
    )


def pack(stream: IO[bytes], files: Path, wheels: Wheelhouse | None) -> None:
    """Write a parcel as a tar archive; the files come last, when all else has arrived.

    Args:
        stream: takes it.
        files: a folder that stands for the machine's root.
        wheels: Salt, None if the machine has it.
    """

    def own(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        return entry

    with tarfile.open(fileobj=stream, mode="w|") as archive:
        if wheels is not None:
            archive.add(wheels.folder, "wheels", filter=own)
            archive.add(wheels.pip, "pip/pip", filter=_without_cache(own))
            archive.add(layout.REQUIREMENTS, "requirements.txt", filter=own)
        archive.add(files, "root", filter=own)


def _without_cache(
    own: Callable[[tarfile.TarInfo], tarfile.TarInfo],
) -> Callable[[tarfile.TarInfo], tarfile.TarInfo | None]:
    return lambda entry: None if "__pycache__" in entry.name else own(entry)


def _program(action: str, host: str) -> str:
    """Return the program with what it shall do before it."""
    return f"ACTION, HOST = {action!r}, {host!r}\n{PROGRAM.read_text(encoding='utf-8')}"


def exit_code(rows: Sequence[Row]) -> int:
    """Return the exit code for some machines."""
    failed = sum(row.state == "failed" for row in rows)
    if not failed:
        return exitcodes.OK
    return exitcodes.FAILED if failed == len(rows) else exitcodes.PARTIAL


def tell(rows: Sequence[Row], *, test: bool, say: Say = message) -> None:
    """Say what was done, or would be, and what a person can do next."""
    for row in rows:
        for step in row.steps if test and not row.error else ():
            say(f"{row.host}: {enrolment.SAYS[step]}")
    added = [row.host for row in rows if row.state == "added"]
    if added:
        say(f"What follows by itself: pigsty events {' '.join(added)} --follow")
