"""Patroni's dynamic configuration as the leader sees it, and as it shall be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.clients.patroni import Patroni
from pigsty.deadlines import DeadlineExceeded, wait_until
from pigsty.errors import ClientError
from pigsty.render import dynamic, libraries
from pigsty.render.tuning import Machine
from pigsty.sql.settings import elements

__virtualname__ = "pigsty_dynamic"

_SEEN = "pigsty_dynamic.live"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def changes() -> dict[str, dict[str, Any]] | None:
    """Return what has to change in the DCS; None where this member doesn't lead.

    The leader alone looks, so that a change is made once and seen by one. A member that doesn't
    answer doesn't lead, or the cluster isn't there yet: it is bootstrapped with this configuration.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_dynamic.changes
    """
    client = _client()
    try:
        if not client.status().leader:
            return None
    except ClientError:
        return None
    __context__[_SEEN] = live = _live(client)
    return _differs(live)


def _differs(live: dict[str, Any]) -> dict[str, dict[str, Any]]:
    machine = Machine(**__salt__["pigsty_patroni.machine"]())
    return dynamic.changes(_spec(), machine, live)


def refused(found: Mapping[str, Mapping[str, Any]], wait: bool = True) -> dict[str, str]:
    """Return which changes must not be made, and why: by path.

    PostgreSQL itself is asked about the values. A library has to be there on every declared member,
    by its own word: those that are applied at the same time get until ``patroni.libraries``.

    Args:
        found: what :func:`changes` returned.
        wait: give the others time.

    CLI Example: called by states.
    """
    why = __salt__["pigsty_patroni.refused"]()
    if not wait:
        # What is missing here may be installed by the run that this is a trial of.
        why.pop(libraries.SETTING, None)
    bad = {p: why[n] for p in found if (n := p.removeprefix(dynamic.SETTINGS)) in why}
    path = dynamic.SETTINGS + libraries.SETTING
    if path in found and path not in bad:
        names = elements(str(found[path]["new"] or ""))
        if said := _unable(names, wait):
            bad[path] = said
    return bad


def _unable(names: list[str], wait: bool) -> str:
    """Return why some libraries can't be loaded by all members, "" if they can."""
    members = [peer["instance"] for peer in _spec()["patroni"]["peers"]]
    lacking: dict[str, list[str]] = {}
    silent: list[str] = []

    def told() -> bool:
        nonlocal lacking, silent
        try:
            tags = {m.name: m.tags for m in _client().cluster().members}
        except ClientError:
            return False
        lacking, silent = libraries.lacking(names, members, tags)
        return bool(lacking) or not silent

    if wait:
        try:
            wait_until(told, "patroni.libraries", "all members say which libraries they can load")
        except DeadlineExceeded:
            silent = silent or members
        if lacking:
            # Who lacked one gets it by the run that this is part of, and says so in a moment.
            with suppress(DeadlineExceeded):
                wait_until(lambda: told() and not lacking, "patroni.tags", "all have the libraries")
    else:
        told()
        # Who hasn't spoken yet will, in a real run.
        silent = []
    return libraries.refusal(lacking, silent) if lacking or silent else ""


def estranged() -> str:
    """Return how the cluster differs from the inventory in what no apply changes; "" if not.

    It judges what :func:`changes` has read in this run.

    CLI Example: called by states.
    """
    live = __context__.get(_SEEN)
    return "" if live is None else dynamic.estranged(_spec(), live)


def apply(found: dict[str, dict[str, Any]]) -> list[str]:
    """Make changes in the DCS; return the settings that wait for a restart of PostgreSQL.

    Patroni merges them into the version that it read, and writes only if nobody has written since.

    Args:
        found: what :func:`changes` returned, without what was refused.

    Raises:
        CommandExecutionError: Patroni refused, or the change isn't there afterwards.

    CLI Example: called by states.
    """
    client = _client()
    try:
        client.patch_config(dynamic.patch(found))
    except ClientError as err:
        raise CommandExecutionError(str(err)) from err
    left: dict[str, Any] = found

    def took() -> bool:
        # Patroni shows the configuration of its last loop, which the change has just woken.
        nonlocal left
        # Read back also when the lead has gone elsewhere meanwhile: the DCS is one for all.
        left = {path: change for path, change in _differs(_live(client)).items() if path in found}
        return not left

    try:
        wait_until(took, "patroni.notices", "the DCS has the change")
    except DeadlineExceeded as err:
        raise CommandExecutionError(f"{err}; it still differs in {', '.join(left)}") from err
    expected = dynamic.restarts(found)
    if not expected:
        return []
    waiting: list[str] = []

    def noticed() -> bool:
        try:
            waiting[:] = client.status().pending_restart
        except ClientError:
            return False
        return bool(waiting)

    try:
        wait_until(noticed, "patroni.notices", "Patroni sees that a restart is needed")
    except DeadlineExceeded:
        # A setting put back to what PostgreSQL runs with needs none.
        return []
    return [name for name in waiting if name != "?"] or expected


def _live(client: Patroni) -> dict[str, Any]:
    """Return the configuration in the DCS; Patroni shows that of its last loop.

    Right after a bootstrap that loop has seen none yet, and the answer is an error.
    """
    found: dict[str, Any] = {}
    problem: list[ClientError] = []

    def shown() -> bool:
        try:
            found.update(client.config())
        except ClientError as err:
            problem[:] = [err]
            return False
        return True

    try:
        wait_until(shown, "patroni.notices", "Patroni shows the configuration")
    except DeadlineExceeded as err:
        raise CommandExecutionError(f"{err}: {problem[0]}") from err
    return found


def _spec() -> dict[str, Any]:
    spec: dict[str, Any] = __pillar__["pigsty"]["pgsql"]
    return spec


def _client() -> Patroni:
    return Patroni.of_pillar(_spec())
