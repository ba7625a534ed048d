"""The engine that watches the stores, alone: ``dcs_engine.py FOLDER``.

What it would put on a master's event bus becomes lines of ``FOLDER/events``: tag and data as JSON.
Files of /var/lib and /run have their place in the folder, as with ``salt_master.py``.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import salt.utils.event

from pigsty import alive, journal, kept
from pigsty.clients import stores

ENGINE = Path(__file__).resolve().parents[2] / "extmods/_engines/pigsty_dcs.py"


class Lines:
    """A bus whose events are lines of a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def fire_event(self, data: Mapping[str, Any], tag: str) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps([tag, dict(data)]) + "\n")


def main(folder: Path) -> None:
    """Run it until it is told to end."""
    defaults = {
        journal.Journal.__init__: folder / "journal.db",
        kept.Kept.__init__: folder / "inventory",
        stores.Access.__init__: folder / "run",
        alive.sign: folder / "alive",
    }
    for function, path in defaults.items():
        function.__defaults__ = (path,)

    @contextmanager
    def bus(*_: Any, **__: Any) -> Iterator[Lines]:
        yield Lines(folder / "events")

    salt.utils.event.get_master_event = bus
    spec = importlib.util.spec_from_file_location("pigsty_dcs", ENGINE)
    assert spec is not None and spec.loader is not None
    engine = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(engine)
    engine.__opts__ = {"__role": "master", "sock_dir": str(folder)}  # type: ignore[attr-defined]
    engine.start(str(folder / "pigsty.yml"), str(folder / "secret.key"), str(folder / "pki"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
