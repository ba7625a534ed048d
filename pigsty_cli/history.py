"""When each host was last applied, as this admin node remembers it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pigsty import journal
from pigsty.returns import HostResult

#: Counts only: no change and no comment of a state is kept here.
PATH = Path("/var/lib/pigsty/applies.json")


def read(path: Path = PATH) -> dict[str, dict[str, Any]]:
    """Return what is remembered by host; nothing when there is no record (or no readable one)."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def remember(results: Iterable[HostResult], jids: Mapping[str, str], path: Path = PATH) -> None:
    """Write down how a run ended; the file is replaced at once, never half-written.

    Args:
        results: of a run that was no audit.
        jids: the job of each host.
        path: the record.
    """
    known = read(path)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    for result in results:
        known[result.host] = {
            "time": time,
            "status": result.status,
            "changed": result.changed,
            "failed": result.failed,
            "jid": jids.get(result.host, ""),
        }
    new = path.with_suffix(".new")
    # A full disk must not turn a good run into a failed one: the record is a convenience.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        new.replace(path)


def settle(results: Iterable[HostResult], checksum: str, path: Path = journal.PATH) -> None:
    """Note in the journal which hosts are as the inventory wants them: nothing follows from that.

    Args:
        results: of a run of all states.
        checksum: the inventory's.
        path: the journal.
    """
    # As above: a journal that can't be written must not turn a good run into a failed one.
    with suppress(journal.JournalError):
        record = journal.Journal(path)
        for result in results:
            if result.good:
                record.settle("node.join", result.host, checksum, journal.now())
        record.close()
