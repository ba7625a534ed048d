"""The keys of minions that the Salt master of this machine has, in whatever state."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["accepted", "pending", "denied", "rejected"]

PKI = Path("/etc/salt/pki/master")
#: The folder of each state, by Salt's own names. An id may stand in two of them: accepted with its
#: own key, and denied with the one that somebody else showed.
FOLDERS: Mapping[State, str] = {
    "accepted": "minions",
    "pending": "minions_pre",
    "denied": "minions_denied",
    "rejected": "minions_rejected",
}


@dataclass(frozen=True, slots=True)
class Key:
    """A minion's public key.

    Attributes:
        id: the minion's id, as it calls itself.
        state: what the master thinks of it.
        fingerprint: as ``salt-call --local key.finger`` shows it on the minion.
        public: its text.
    """

    id: str
    state: State
    fingerprint: str
    public: str


def read(pki: Path = PKI) -> tuple[Key, ...]:
    """Return every key, in the order of ids and of the states above."""
    found = []
    for state, folder in FOLDERS.items():
        for path in sorted((pki / folder).glob("*")):
            try:
                public = path.read_text(encoding="ascii", errors="replace").strip()
            except OSError:  # deleted since, or a folder
                continue
            if not path.name.startswith("."):
                found.append(Key(path.name, state, fingerprint(public), public))
    return tuple(sorted(found, key=lambda key: (key.id, list(FOLDERS).index(key.state))))


def ids(pki: Path = PKI) -> Mapping[State, frozenset[str]]:
    """Return whose keys are in each state, by names alone: that is cheap for ten thousand."""
    found: dict[State, frozenset[str]] = {}
    for state, folder in FOLDERS.items():
        with suppress(OSError):  # Salt makes the folder with the first key
            found[state] = frozenset(
                path.name for path in (pki / folder).iterdir() if not path.name.startswith(".")
            )
    return found


def fingerprint(public: str) -> str:
    """Return the fingerprint of a public key in PEM: SHA-256 of what stands between its marks."""
    lines = public.strip().splitlines()
    body = lines[1:-1] if lines and lines[0].startswith("-----") else lines
    digest = hashlib.sha256("".join(f"{line}\n" for line in body).encode()).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
