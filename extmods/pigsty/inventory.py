"""YAML to :class:`pigsty.shape.Inventory`: from a file, read once as long as it stays the same."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from pigsty.errors import InventoryError
from pigsty.parser import Parser
from pigsty.reader import MAX_BYTES
from pigsty.shape import Inventory

_CACHE: dict[str, tuple[tuple[int, int, int], Inventory]] = {}


def load(file: str | Path) -> Inventory:
    """Read an inventory; cached by (path, mtime, size, inode) within the process.

    Raises:
        InventoryError: the file can't be read as an inventory at all.
    """
    path = Path(file)
    try:
        status = path.stat()
        key = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = _CACHE.get(str(path.absolute()))
        if known is not None and known[0] == key:
            return known[1]
        with path.open("rb") as stream:  # it may be a pipe, so its size says nothing
            data = stream.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise InventoryError(f"{path} is a folder", hint="name the file in it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InventoryError(f"can't read {path}: {reason}") from error
    inventory = parse(data, str(path))
    if stat.S_ISREG(status.st_mode):
        _CACHE[str(path.absolute())] = (key, inventory)
    return inventory


def parse(data: bytes, file: str = "") -> Inventory:
    """Read an inventory from bytes (see :func:`load`).

    Raises:
        InventoryError: the bytes can't be read as an inventory at all.
    """
    if len(data) > MAX_BYTES:
        raise InventoryError(f"the file is larger than {MAX_BYTES >> 20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InventoryError(
            f"the file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}",
            line=data.count(b"\n", 0, error.start) + 1,
            hint="save it as UTF-8",
        ) from error
    return Parser(text, file, hashlib.sha256(data).hexdigest()).parse()
