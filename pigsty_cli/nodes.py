"""What `pigsty node list`, `show` and `forget` tell: machines beside their keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pigsty import journal, roster, story
from pigsty.clients import keys
from pigsty.clients.keys import FOLDERS, Key
from pigsty.roster import MachineRow
from pigsty.targets import resolve
from pigsty_cli import deployment
from pigsty_cli.commands.status import asked
from pigsty_cli.enrolling import Wish, door_of
from pigsty_cli.errors import Refused, UsageError
from pigsty_cli.inventories import find

#: So many of the last things that happened to a machine are shown.
LAST = 10


def rows(inventory: str | None) -> tuple[list[MachineRow], str]:
    """Return a row for each machine, and what kept the minions from being asked."""
    topology = deployment.load(find(inventory))
    minions, why = asked(topology)
    return roster.machines(topology, minions, _read(), _applied()), why


def detail(word: str, inventory: str | None) -> dict[str, Any]:
    """Return what is known of one machine.

    Raises:
        TargetError: nobody has that name, neither in the inventory nor among the keys.
    """
    topology = deployment.load(find(inventory))
    known = _read()
    if word in {key.id for key in known} and word not in topology.nodes:
        host = word
    else:
        (host, *_more) = resolve(topology, [word])
    minions, _why = asked(topology)
    row = next(r for r in roster.machines(topology, minions, known, _applied()) if r.host == host)
    data = row.to_dict()
    if host in topology.nodes:
        door = door_of(topology.nodes[host], Wish(()))
        login = f"{door.user}@" if door.user else ""
        data["ssh"] = f"{login}{door.target}:{door.port}"
    return {**data, "keys": [_key(key) for key in known if key.id == host], "events": _events(host)}


def forget(ids: Sequence[str]) -> list[dict[str, str]]:
    """Delete the keys of some ids that were not taken; return them.

    Raises:
        UsageError: there is none of that id.
        Refused: this user may not delete it.
    """
    known = roster.refused(_read())
    if strange := [id for id in ids if id not in {key.id for key in known}]:
        raise UsageError(f"no key of {', '.join(strange)} waits or was refused")
    gone = [key for key in known if key.id in ids]
    for key in gone:
        path = keys.PKI / FOLDERS[key.state] / key.id
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}; run this as root") from error
    if journal.PATH.exists():
        record = journal.Journal(journal.PATH)
        for id in ids:
            record.forget("node.key", id)
        record.close()
    return [_key(key) for key in gone]


def _read() -> tuple[Key, ...]:
    try:
        return keys.read(keys.PKI)
    except PermissionError as error:
        raise Refused(f"{error.filename}: permission denied; run this as root") from error


def _key(key: Key) -> dict[str, str]:
    return {"id": key.id, "state": key.state, "fingerprint": key.fingerprint}


def _applied() -> frozenset[str]:
    if not journal.PATH.exists():
        return frozenset()
    record = journal.Journal(journal.PATH)
    try:
        return frozenset(record.facts("node.join"))
    finally:
        record.close()


def _events(host: str) -> list[dict[str, str]]:
    if not journal.PATH.exists():
        return []
    record = journal.Journal(journal.PATH)
    try:
        lines = story.lines(record.entries(subjects=[host], limit=LAST))
    finally:
        record.close()
    return [
        {
            "time": datetime.fromtimestamp(line.at).astimezone().strftime("%F %T"),
            "happened": line.happened,
            "state": line.state,
            "outcome": line.outcome,
        }
        for line in lines
    ]
