"""A member of etcd: its unit, its configuration, its place in the cluster, the store's users."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.clients.etcd import Etcd, EtcdError, Unreachable
from pigsty.convergence import converge
from pigsty.deadlines import DeadlineExceeded, wait_until
from pigsty.render import etcd as render
from pigsty.render.files import File

__virtualname__ = "pigsty_etcd"

UNIT = "etcd.service"
_ERRORS = (CommandExecutionError, DeadlineExceeded, EtcdError, Unreachable, OSError)


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def guarded(name: str) -> dict[str, Any]:
    """Have the unit's drop-in, which keeps etcd from starting before it is configured.

    Args:
        name: path of the drop-in.
    """
    result = _result(name)
    files = [File(name, render.drop_in())]
    try:
        result["changes"] = __salt__["pigsty_file.changes"](files)
        if result["changes"] and __opts__["test"]:
            result["result"] = None
        elif result["changes"]:
            __salt__["pigsty_file.converge"](files)
            __salt__["pigsty_systemd.act"]("daemon-reload")
    except _ERRORS as error:
        result.update(result=False, comment=str(error))
    return result


def member(name: str) -> dict[str, Any]:
    """Have this node's member configured and running.

    A new cluster serves once a majority of its members runs; this waits for it (``etcd.quorum``). A
    member that runs with another configuration is restarted when it is its turn.

    Args:
        name: the unit.
    """
    etcd, ca = __pillar__["pigsty"]["etcd"], __pillar__["pigsty"]["meta"]["ca"]
    test, result = __opts__["test"], _result(name)
    me = _me(etcd)
    try:
        start = __salt__["pigsty_etcd.start_values"](etcd, test)
        files = render.files(etcd, start)
        changes = __salt__["pigsty_file.changes"](files)
        status = __salt__["pigsty_systemd.show"](name, render.DEFRAG_TIMER)
        for unit, found in status.items():
            changes |= __salt__["pigsty_systemd.plan"](unit, found)
        loaded = (__salt__["pigsty_file.read"](render.LOADED) or "").strip()
        active = status[name].get("ActiveState")
        # A member that waits for the others (activating) may wait because of its old configuration.
        if active in ("active", "activating") and loaded != render.fingerprint(
            render.config(etcd, start), ca
        ):
            changes[name] = {"old": "runs with another configuration", "new": "restarted"}
        if active == "active" and __salt__["pigsty_etcd.learner"](etcd):
            changes["vote"] = {"old": None, "new": "given"}
        result["changes"] = changes
        if test and changes:
            result.update(result=None, comment="would be set right")
            return result
        if changes:
            __salt__["pigsty_file.converge"](files)
        if any(path.startswith(render.DEFRAG) for path in changes) or _outdated(status):
            __salt__["pigsty_systemd.act"]("daemon-reload")
        _run(etcd, name, changes)
        if not test and (changes or active != "active"):
            _await(etcd["name"], me, name)
            # It runs by now: whoever joined has been without a vote so far.
            if waiting := __salt__["pigsty_etcd.learner"](etcd):
                __salt__["pigsty_etcd.promote"](etcd, waiting)
        result["comment"] = f"{etcd['name']} runs"
    except _ERRORS as error:
        result.update(result=False, comment=str(error))
    return result


def removed(name: str) -> dict[str, Any]:
    """Have no member here: its units stopped, its data and files deleted.

    Its configuration, which tells where the data are, goes last, so that a removal that was cut off
    goes on where it stopped.

    Args:
        name: a label.
    """

    def plan() -> dict[str, Any]:
        data, files = render.remains(__salt__["pigsty_file.read"](render.CONF))
        changes: dict[str, Any] = {}
        units = __salt__["pigsty_systemd.show"](UNIT, render.DEFRAG_TIMER)
        for unit, found in units.items():
            if found.get("LoadState") != "not-found":
                changes |= __salt__["pigsty_systemd.plan"](unit, found, False)
        if data and Path(data).is_dir():
            changes[data] = {"old": "there", "new": None}
        return changes | dict(__salt__["pigsty_file.changes"](files))

    def act(changes: dict[str, Any]) -> None:
        data, files = render.remains(__salt__["pigsty_file.read"](render.CONF))
        stopping = {unit: changes[unit] for unit in (render.DEFRAG_TIMER, UNIT) if unit in changes}
        __salt__["pigsty_systemd.enact"](stopping)
        if data in changes:
            shutil.rmtree(data)
        __salt__["pigsty_file.converge"](files)
        __salt__["pigsty_systemd.act"]("daemon-reload")

    return converge(name, "etcd", plan, act, test=__opts__["test"], errors=_ERRORS)


def auth(name: str) -> dict[str, Any]:
    """Have the store's users: root, and one for each PostgreSQL cluster, confined to its prefix.

    The first member (by number) that is healthy does it; the others leave it to that one.

    Args:
        name: a label.
    """
    etcd = __pillar__["pigsty"]["etcd"]
    test, result = __opts__["test"], _result(name)
    password = [File(render.PASSWORD, f"{etcd['root_password']}\n", mode="0600", secret=True)]
    try:
        first = _first(etcd)
        if first is None and not test:
            raise CommandExecutionError("no member of etcd is healthy")
        changes: dict[str, Any] = {}
        acting = first is None or first["name"] == etcd["name"]
        if acting:
            changes |= _users(etcd, __salt__["pigsty_etcd.client"](_me(etcd)), first is None, test)
        # Only now: until then the file holds the password that is in force.
        changes |= __salt__["pigsty_file.changes"](password)
        if not test:
            __salt__["pigsty_file.converge"](password)
        result["changes"] = changes
        result["comment"] = "users are right" if acting else f"{(first or {})['name']} sees to it"
        if changes and test:
            result["result"] = None
    except _ERRORS as error:
        result.update(result=False, comment=str(error))
    return result


def _users(etcd: Mapping[str, Any], client: Etcd, bare: bool, test: bool) -> dict[str, Any]:
    """Set users and roles right (or only say what that takes), and return what was done."""
    mark = render.digest(etcd["root_password"], etcd["users"])
    state = "off" if bare else __salt__["pigsty_etcd.login"](client, etcd)
    if state == "on":
        seen = {"digest": mark, "revision": client.auth_revision()}
        if seen["revision"] is not None and __salt__["pigsty_etcd.stamp"]() == seen:
            return {}
    todo = _steps(etcd, client, state, bare)
    if not test:
        for step in todo:
            client.do(step.path, step.body)
        __salt__["pigsty_etcd.login"](client, etcd)
        left = _steps(etcd, client, "on", bare=False)
        if left:
            raise CommandExecutionError(f"done, but still different: {left[0].what}")
        # While a cluster that the inventory no longer has still lives, every run looks again.
        kept = render.leftovers(etcd["users"], client.roles())
        seen = {"digest": mark, "revision": client.auth_revision()}
        text = None if kept else json.dumps(seen, sort_keys=True)
        __salt__["pigsty_file.converge"]([File(render.STAMP, text, mode="0600", secret=True)])
    return {"users": {"old": "", "new": [step.what for step in todo]}} if todo else {}


def _steps(etcd: Mapping[str, Any], client: Etcd, state: str, bare: bool) -> list[render.Step]:
    """Return what it takes to have the right users."""
    users, roles = ({}, {}) if bare else (client.users(), client.roles())
    names = [user for user in etcd["users"] if user["name"] in users]
    # Without users enabled no password can be tried; setting it again does no harm.
    stale = [
        u["name"] for u in names if state == "off" or not client.knows(u["name"], u["password"])
    ]
    gone = [
        role
        for role, prefix in render.leftovers(etcd["users"], roles).items()
        # A cluster that has a leader lives, whatever the inventory says: it would lose its store.
        if not client.led(prefix, render.range_end(prefix))
    ]
    todo = render.steps(etcd["users"], users, roles, stale, gone)
    if state == "off":
        todo += render.enabling(etcd["root_password"])
    if state == "old":
        body = {"name": "root", "password": etcd["root_password"]}
        todo.append(render.Step("user root: password", "auth/user/changepw", body))
    return todo


def _run(etcd: Mapping[str, Any], name: str, changes: Mapping[str, Any]) -> None:
    """Enable, start or restart the units, as the changes say."""
    for unit in (name, render.DEFRAG_TIMER):
        change = changes.get(unit, {})
        if "enabled" in change:
            __salt__["pigsty_systemd.act"]("enable", unit)
        if "active" in change:
            # A start ends when a majority runs: it is waited for under a deadline of ours.
            __salt__["pigsty_systemd.act"]("start", "--no-block", unit)
    if "new" in changes.get(name, {}):
        __salt__["pigsty_etcd.restart"](etcd, name)


def _await(member: str, me: Mapping[str, Any], unit: str) -> None:
    """Wait until this node's member serves; what it said last tells why it doesn't."""
    try:
        wait_until(lambda: _serves(me, unit), "etcd.quorum", f"{member} serves")
    except DeadlineExceeded as error:
        last = __salt__["cmd.run_stdout"](
            ["journalctl", "--unit", unit, "--lines", "3", "--output", "cat"], python_shell=False
        )
        raise CommandExecutionError(f"{error}; its journal ends with: {last}") from error


def _outdated(status: Mapping[str, Mapping[str, str]]) -> bool:
    """Return whether systemd has yet to read a unit's files again."""
    return any(found.get("NeedDaemonReload") == "yes" for found in status.values())


def _serves(me: Mapping[str, Any], unit: str) -> bool:
    """Return whether this node's member serves: our unit, not something else on its port."""
    if not __salt__["pigsty_etcd.healthy"](me):
        return False
    return bool(__salt__["pigsty_systemd.show"](unit)[unit].get("ActiveState") == "active")


def _me(etcd: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return this node's member."""
    found: Mapping[str, Any] = next(m for m in etcd["members"] if m["name"] == etcd["name"])
    return found


def _first(etcd: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the first member that is healthy, or None."""
    if not Path(render.CERT).exists():
        return None
    found = (m for m in etcd["members"] if __salt__["pigsty_etcd.healthy"](m))
    return next(found, None)


def _result(name: str) -> dict[str, Any]:
    """Return the result of a state that found nothing to do."""
    return {"name": name, "changes": {}, "result": True, "comment": ""}
