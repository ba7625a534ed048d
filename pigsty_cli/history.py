"""When each host was last applied, as this admin node remembers it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pigsty import applied, journal
from pigsty.errors import PillarError
from pigsty.kept import FOLDER, Basis, Kept, KeptError
from pigsty.platform import of_grains
from pigsty.returns import HostResult
from pigsty.topology import Topology
from pigsty_cli.bootstrap.layout import CA_CERTIFICATE, SECRET_KEY

if TYPE_CHECKING:
    from pigsty_cli.applying import Plan

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


def basis(topology: Topology) -> Basis | None:
    """Return what pillars are made of now; None while the inventory is being edited."""
    with suppress(PillarError):
        return applied.current(topology, SECRET_KEY, CA_CERTIFICATE)
    return None


def forget(hosts: Iterable[str], path: Path = journal.PATH) -> None:
    """Forget what hosts were applied with: their database was removed, or they were."""
    with suppress(journal.JournalError), closing(journal.Journal(path)) as record:
        for host in hosts:
            applied.forget(record, host)


def note(
    plan: Plan, made_of: Basis | None, results: Iterable[HostResult], path: Path = journal.PATH
) -> None:
    """Note in the journal which hosts are as the inventory wants them: nothing follows from that.

    Args:
        plan: what ran; an audit, or a run for some objects alone, counts for nothing.
        made_of: what its pillars were made of; None if that wasn't known.
        results: how it ended.
        path: the journal; the inventories are kept beside it.
    """
    if made_of is None or plan.test or plan.only:
        return
    ran = {result.host: plan.states(result.host) for result in results if result.good}
    if not plan.whole:
        ran = {host: states for host, states in ran.items() if states}
    # As above: a journal that can't be written must not turn a good run into a failed one.
    with suppress(journal.JournalError, KeptError):
        record = journal.Journal(path)
        with closing(record):
            kept = Kept(path.with_name(FOLDER.name))
            applied.note(record, kept, made_of, of_grains({}), ran)
