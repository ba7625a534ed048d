"""Where a command finds its inventory."""

from __future__ import annotations

import os
from pathlib import Path

from pigsty_cli.errors import Refused, UsageError

#: Looked for in this order when no file is named.
PLACES = (Path("/etc/pigsty/pigsty.yml"), Path("pigsty.yml"))


def find(file: str | os.PathLike[str] | None = None) -> Path:
    """Return the inventory that is named, else the first of PLACES that exists.

    Raises:
        UsageError: the named file isn't there, or there is none in any of the places.
        Refused: this user may not look there.
    """
    if file is not None:
        path = Path(file)
        if not _exists(path):
            raise UsageError(f"no such file: {path}")
        return path
    for path in PLACES:
        if _exists(path):
            return path
    places = " or ".join(str(path) for path in PLACES)
    raise UsageError(f"no inventory: neither named nor found at {places}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        raise Refused(f"{path}: permission denied; run this as root") from error
