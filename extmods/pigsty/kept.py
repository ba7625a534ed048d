"""What machines were applied with: inventories of the past, and the last good one.

What a change touches can be told only against what was there before, so the admin node keeps the
input of each apply (:class:`Basis`) for as long as a host was last applied with it. And while the
inventory is being edited and has errors, the last good one goes on being served.

These files are as secret as the inventory: the folder is their owner's alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pigsty import inventory, topology, validate
from pigsty.errors import PigstyError, PillarError
from pigsty.pillar.site import Site
from pigsty.rotation import Rotation
from pigsty.topology import Topology

FOLDER = Path("/var/lib/pigsty/inventory")
#: The last good inventory.
GOOD = "good.yml"
#: What of a site is kept beside an inventory. Its key isn't: it never changes, and stays in one
#: place.
_CERTIFICATES = ("ca", "old_ca", "next_ca")


class KeptError(PigstyError):
    """The folder can't be written, or what stands in it can't be read."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What pillars are made of.

    Attributes:
        id: SHA-256 over all of it, hexadecimal: the same input, the same id.
        topology: what the inventory declares.
        site: the deployment's key, CAs, and what was rotated.
        text: the inventory's bytes.
    """

    id: str
    topology: Topology
    site: Site
    text: bytes

    @classmethod
    def of(cls, text: bytes, site: Site, found: Topology | None = None, file: str = "") -> Basis:
        """Make a basis.

        Args:
            text: the inventory's bytes.
            site: the deployment.
            found: what the inventory declares, if it has been read already.
            file: where the text was read, for messages.

        Raises:
            InventoryError: the text can't be read as an inventory.
        """
        declared = found or topology.build(inventory.parse(text, file))
        digest = hashlib.sha256(_around(site).encode())
        digest.update(hashlib.sha256(site.key).digest())
        digest.update(declared.inventory.checksum.encode())
        return cls(digest.hexdigest(), declared, site, text)

    @classmethod
    def now(cls, found: Topology, site: Site) -> Basis | None:
        """Make the basis of an inventory that was read; None if its file is another one by now.

        Args:
            found: what it declares.
            site: the deployment.
        """
        try:
            text = Path(found.inventory.file).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(text).hexdigest() != found.inventory.checksum:
            return None
        return cls.of(text, site, found)


class Kept:
    """The folder of what is kept.

    Args:
        folder: where; it is made when something is written.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    def save(self, basis: Basis) -> None:
        """Keep a basis, if it isn't kept already.

        Raises:
            KeptError: the folder can't be written.
        """
        path = self._path(basis.id)
        if not path.exists():
            data = {"around": json.loads(_around(basis.site)), "text": basis.text.decode()}
            self._write(path, json.dumps(data).encode())

    def load(self, number: str, key: bytes) -> Basis | None:
        """Return a basis; None if it isn't kept, or can't be read by this version.

        Whoever lacks it applies everything, which is never wrong.

        Args:
            number: its id.
            key: the deployment's key.
        """
        try:
            data: dict[str, Any] = json.loads(self._path(number).read_text(encoding="utf-8"))
            around = data["around"]
            site = Site(
                key,
                operator_keys=tuple(around["operator_keys"]),
                rotation=Rotation.parse(around["rotation"]),
                **{name: around[name] for name in _CERTIFICATES},
            )
            found = Basis.of(data["text"].encode(), site)
        except (OSError, ValueError, KeyError, TypeError, PigstyError):
            return None
        # Another key than the one that it was made with makes another pillar of the same text.
        return found if found.id == number else None

    def prune(self, needed: Iterable[str]) -> None:
        """Forget every basis but those that are needed, by their ids."""
        keep = {self._path(number).name for number in needed}
        for path in self._folder.glob("*.json"):
            if path.name not in keep:
                path.unlink(missing_ok=True)

    def keep_good(self, text: bytes) -> None:
        """Keep an inventory that was found to be good.

        Raises:
            KeptError: the folder can't be written.
        """
        path = self._folder / GOOD
        if not path.exists() or path.read_bytes() != text:
            self._write(path, text)

    @property
    def good(self) -> Path:
        """Where the last good inventory is, if there is one."""
        return self._folder / GOOD

    def _path(self, number: str) -> Path:
        return self._folder / f"{Path(number).name}.json"

    def _write(self, path: Path, data: bytes) -> None:
        """Replace a file at once; nobody but its owner may ever read it."""
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
                out.write(data)
            new.replace(path)
        except OSError as error:
            raise KeptError(f"{path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Served:
    """The inventory that pillars are made of.

    Attributes:
        topology: what it declares.
        trouble: why the file itself isn't used, "" when it is.
    """

    topology: Topology
    trouble: str = ""


def serving(file: str | Path, good: str | Path | None = None) -> Served:
    """Return the inventory, or the last good one while the file has errors.

    Args:
        file: the inventory.
        good: the last good one; it is validated too, and need not exist.

    Raises:
        PillarError: neither may be used; the text is about the file.
    """
    try:
        return Served(validate.usable(file))
    except PillarError as error:
        if good is None or not Path(good).exists():
            raise
        try:
            return Served(validate.usable(good), str(error))
        except PillarError:
            raise error from None


def _around(site: Site) -> str:
    """Return what of a site pillars depend on, besides its key, always in the same form."""
    data = {name: getattr(site, name) for name in _CERTIFICATES}
    data |= {"operator_keys": list(site.operator_keys), "rotation": site.rotation.text()}
    return json.dumps(data, sort_keys=True)
