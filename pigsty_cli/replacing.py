"""The CA's replacement: the files on the admin node, and the run through the phases."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pigsty import authority, pki
from pigsty.pillar.site import NEXT_CA, OLD_CA
from pigsty.render.certificates import PLACES
from pigsty_cli.bootstrap.admin import CA_DAYS
from pigsty_cli.bootstrap.files import Tree
from pigsty_cli.bootstrap.layout import CA_CERTIFICATE, CA_KEY
from pigsty_cli.errors import Refused
from pigsty_cli.rotating import Hands

FOLDER = Path(CA_CERTIFICATE).parent
NEXT_KEY = "ca.next.key"


def files(folder: Path = FOLDER) -> authority.Authorities:
    """Return the CAs on the admin node.

    Raises:
        Refused: there is half of a next one, or its parts don't belong together.
    """
    old, new = folder / OLD_CA, folder / NEXT_CA
    key = folder / NEXT_KEY
    if not old.exists() and new.exists() != key.exists():
        raise Refused(f"of {key} and {new} only one is there: add the other, or remove this one")
    if new.exists() and key.exists() and not pki.belong(key.read_bytes(), new.read_bytes()):
        raise Refused(f"{key} and {new} don't belong together")
    return authority.Authorities(
        current=_identity(folder / Path(CA_CERTIFICATE).name),
        old=_identity(old),
        next=_identity(new),
    )


def begin(cn: str, folder: Path = FOLDER) -> None:
    """Make the next CA; the date in its name tells it from the one before."""
    now = datetime.now(UTC)
    key, certificate = pki.create_ca(f"{cn[:47]} {now:%Y%m%d%H%M%S}", CA_DAYS, now)
    tree = Tree(folder)
    tree.write(NEXT_KEY, key, 0o600)
    tree.write(NEXT_CA, certificate, 0o644)


def sign(folder: Path = FOLDER) -> None:
    """Put the next CA in the place of the present one.

    Cut off at any point, it is finished by another call: what was moved is not moved again. Between
    the two moves key and certificate don't fit, and the signer refuses.
    """
    current, key = folder / Path(CA_CERTIFICATE).name, folder / Path(CA_KEY).name
    if not (folder / OLD_CA).exists():
        Tree(folder).write(OLD_CA, current.read_bytes(), 0o644)
    for new, place in ((folder / NEXT_KEY, key), (folder / NEXT_CA, current)):
        with suppress(FileNotFoundError):
            new.replace(place)


def drop(folder: Path = FOLDER) -> None:
    """Trust the old CA no longer."""
    Tree(folder).remove(OLD_CA)


def nodes(found: Mapping[str, Mapping[str, Any]]) -> dict[str, authority.Node]:
    """Return what hosts hold, by what ``pigsty_pki.certificates`` returned."""
    return {
        host: authority.Node(
            {row["path"]: pki.issuer(str(row["pem"]).encode()) for row in data["leaves"]},
            {path: tuple(known) for path, known in data["trusted"].items()},
        )
        for host, data in found.items()
    }


def run(hands: Hands, cn: str, first: str, folder: Path = FOLDER) -> list[str]:
    """Go through the phases from the given one to the end; return those that were done.

    Raises:
        Refused: a host isn't there.
        Partial: a state failed, or a node doesn't hold what it should.
    """
    hosts = tuple(hands.topology.nodes)
    done = []
    for name in authority.steps(first):
        hands.say(f"{name}: {authority.PHASES[name]}")
        if name == "begin":
            begin(cn, folder)
        elif name == "sign":
            sign(folder)
        elif name == "reissue":
            hands.reissue(hosts, tuple(PLACES))
        else:
            if name == "drop":
                drop(folder)
            hands.apply(hosts)
        _arrived(hands, name, folder)
        done.append(name)
    return done


def _arrived(hands: Hands, name: str, folder: Path) -> None:
    """See by what the machines hold that a phase is over.

    Raises:
        Refused: it isn't.
    """
    if name in ("begin", "sign"):
        return
    found = hands.certificates(tuple(hands.topology.nodes))
    now = authority.phase(files(folder), nodes(found))
    if now.name == name or (name == "drop" and now.name == "settle"):
        raise Refused(f"phase {name} was carried out, but not on {', '.join(now.hosts)}")


def _identity(path: Path) -> str:
    return pki.identity(path.read_bytes()) if path.exists() else ""
