"""A Salt master whose files of /var/lib and /run are in a folder: ``salt_master.py FOLDER``.

What a deployment has at one place on its admin node has a place of its own here, so that a test
neither needs nor touches the machine's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import salt.scripts

from pigsty import journal, kept, turns
from pigsty.clients import stores


def main(folder: Path) -> None:
    """Run it until it is told to end."""
    defaults = {
        journal.Journal.__init__: folder / "journal.db",
        kept.Kept.__init__: folder / "inventory",
        turns.shared.__wrapped__: folder / "apply.lock",  # type: ignore[attr-defined]
        stores.Access.__init__: folder / "run",
    }
    for function, path in defaults.items():
        function.__defaults__ = (path,)
    sys.argv = ["salt-master", f"--config-dir={folder}", "--log-level=quiet"]
    salt.scripts.salt_master()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
