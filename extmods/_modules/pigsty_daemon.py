"""Daemons with their files: what differs, and bringing them there with as little as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pigsty.render.daemon import Daemon
from pigsty.render.files import Directory, File

__virtualname__ = "pigsty_daemon"

_UNITS = "/etc/systemd/system/"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def plan(daemons: Sequence[Daemon], files: Sequence[File | Directory] = ()) -> dict[str, Any]:
    """Return what differs: files by path, units by name.

    A unit's ``configuration`` says which verb makes it read what is on disk: ``restart`` or
    ``reload``; one that was owed by a run that was killed is among them.

    Args:
        daemons: the daemons as they shall be.
        files: what shall be there beside the daemons' own files.

    CLI Example: called by states.
    """
    changes: dict[str, Any] = __salt__["pigsty_file.changes"](_files(daemons, files))
    if not daemons:
        return changes
    found = __salt__["pigsty_systemd.show"](*(daemon.unit for daemon in daemons))
    units: dict[str, Any] = {}
    for daemon in daemons:
        status = found[daemon.unit]
        if not daemon.running and status.get("LoadState") == "not-found":
            continue
        service = __salt__["pigsty_systemd.plan"](daemon.unit, status, daemon.running)
        change = service.get(daemon.unit, {})
        verb = _verb(daemon, changes)
        if verb and daemon.running and "active" not in change:
            change["configuration"] = {"old": "another one is loaded", "new": verb}
        if change:
            units[daemon.unit] = change
    return {**changes, **units}


def enact(
    daemons: Sequence[Daemon], files: Sequence[File | Directory], changes: dict[str, Any]
) -> None:
    """Do what :func:`plan` returned for the same daemons and files.

    Raises:
        CommandExecutionError: a file can't be written, or systemd refuses; the text says why.

    CLI Example: called by states.
    """
    for daemon in daemons:
        verb = changes.get(daemon.unit, {}).get("configuration", {}).get("new")
        if verb:
            # An apply that is killed before the restart leaves it to the next one.
            __salt__["pigsty_systemd.owe"](daemon.unit, verb)
    __salt__["pigsty_file.converge"](_files(daemons, files))
    if any(path.startswith(_UNITS) for path in changes):
        __salt__["pigsty_systemd.act"]("daemon-reload")
    for daemon in daemons:
        if daemon.unit in changes:
            __salt__["pigsty_systemd.enact"]({daemon.unit: changes[daemon.unit]})
            __salt__["pigsty_systemd.pay"](daemon.unit)


def _files(daemons: Sequence[Daemon], files: Sequence[File | Directory]) -> list[File | Directory]:
    """Return all files; folders and what stands alone come first. A stopped daemon's stay."""
    return [*files, *(file for daemon in daemons if daemon.running for file in daemon.files)]


def _verb(daemon: Daemon, changes: dict[str, Any]) -> str:
    """Return what makes a daemon read its files again: ``restart``, ``reload`` or nothing."""
    owed = str(__salt__["pigsty_systemd.owed"](daemon.unit))
    if owed == "restart" or any(file.path in changes for file in daemon.restart):
        return "restart"
    if owed or any(file.path in changes for file in daemon.reload):
        return "reload"
    return ""
