"""Where a command finds its inventory."""

from __future__ import annotations

import os
from pathlib import Path

from pigsty_cli.errors import UsageError

#: Looked for in this order when no file is named.
PLACES = (Path("/etc/pigsty/pigsty.yml"), Path("pigsty.yml"))


def find(file: str | os.PathLike[str] | None = None) -> Path:
    """Return the inventory that is named, else the first of PLACES that exists.

    Raises:
        UsageError: the named file isn't there, or there is none in any of the places.
    """
    if file is not None:
        path = Path(file)
        if not path.exists():
            raise UsageError(f"no such file: {path}")
        return path
    for path in PLACES:
        if path.exists():
            return path
    places = " or ".join(str(path) for path in PLACES)
    raise UsageError(f"no inventory: neither named nor found at {places}")
