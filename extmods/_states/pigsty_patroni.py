"""State of this member's Patroni: its configuration, and the daemon running with it."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.errors import PigstyError
from pigsty.render.libraries import SETTING
from pigsty.render.patroni import WATCHDOG, differences, watchdog_mode

__virtualname__ = "pigsty_patroni"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def managed(name: str) -> dict[str, Any]:
    """Keep Patroni configured, enabled, running, and running with its configuration.

    PostgreSQL is never restarted, promoted or demoted here: who leads is Patroni's to decide, and
    settings that wait for a restart are named in the comment. A changed configuration or
    certificate is reloaded, also when an earlier apply was cut off before it could.

    Before a change PostgreSQL itself is asked whether it would take the settings. What it refuses
    is left out, and fails :func:`accepted`, which nothing depends on; the rest is done.

    Args:
        name: the state's name.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    unit = __pillar__["pigsty"]["pgsql"]["platform"]["patroni_unit"]
    try:
        _look_for_watchdog()
        files, refused = _files()
        inputs = __salt__["pigsty_patroni.inputs"]()
        changes = __salt__["pigsty_file.changes"](files)
        status = __salt__["pigsty_systemd.show"](unit)[unit]
        planned = __salt__["pigsty_systemd.plan"](unit, status)
        starts = "active" in planned.get(unit, {})
        if starts and SETTING in refused and not _first() and not __opts__["test"]:
            raise CommandExecutionError(f"PostgreSQL would not start: {refused[SETTING]}")
        pid = int(status.get("MainPID") or 0)
        reload = not starts and (
            bool(changes) or __salt__["pigsty_loaded.stale"](unit, pid, inputs)
        )
        if changes:
            # The file as a whole holds passwords; what may be seen of it is shown by itself.
            before = __salt__["pigsty_file.read"](files[0].path) or ""
            changes |= differences(before, files[0].contents)
        changes.update(planned)
        if reload:
            changes.setdefault(unit, {})["loaded"] = {"old": "other configuration", "new": "reload"}
        ret["changes"] = changes
        if __opts__["test"]:
            ret["comment"] = "Patroni runs with its configuration"
            if changes:
                ret.update(result=None, comment="Patroni would be changed")
            return ret
        if changes:
            __salt__["pigsty_file.converge"](files)
            if status.get("NeedDaemonReload") == "yes":
                __salt__["pigsty_systemd.act"]("daemon-reload")
            __salt__["pigsty_systemd.enact"](planned)
            if reload:
                __salt__["pigsty_systemd.act"]("reload", unit)
            __salt__["pigsty_loaded.mark"](unit, inputs)
        ret["comment"] = _sentence(__salt__["pigsty_patroni.await_member"](unit))
    except (CommandExecutionError, PigstyError) as err:
        ret.update(result=False, comment=str(err))
    return ret


def accepted(name: str) -> dict[str, Any]:
    """Tell which declared settings PostgreSQL would not take, and are left out for that.

    Args:
        name: the state's name.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    try:
        _, refused = _files()
    except (CommandExecutionError, PigstyError) as err:
        return {**ret, "result": False, "comment": str(err)}
    if not refused:
        return {**ret, "comment": "PostgreSQL takes every declared setting"}
    said = [f"{setting} is left out: {reason}" for setting, reason in refused.items()]
    return {**ret, "result": False, "comment": "\n".join(said)}


def _files() -> tuple[list[Any], dict[str, str]]:
    """Return the files, without what PostgreSQL refuses; and what it refuses, with its reasons.

    It is asked only when something differs.
    """
    files: list[Any] = __salt__["pigsty_patroni.files"]()
    if not __salt__["pigsty_file.changes"](files):
        return files, {}
    refused: dict[str, str] = __salt__["pigsty_patroni.refused"]()
    if not refused:
        return files, {}
    lacking = __salt__["pigsty_patroni.lacking"]() if SETTING in refused else []
    files = __salt__["pigsty_patroni.files"](list(refused), lacking)
    if __opts__["test"] and lacking and __salt__["pigsty_file.changes"](files):
        # Missing for the first time: the packages that bring it would be installed before this.
        del refused[SETTING]
        files = __salt__["pigsty_patroni.files"](list(refused))
    return files, refused


def _first() -> bool:
    """Whether this member makes the cluster, which then begins without what it can't load."""
    return bool(__pillar__["pigsty"]["pgsql"]["role"] == "primary")


def _look_for_watchdog() -> None:
    """Note that a wanted watchdog isn't there.

    Raises:
        CommandExecutionError: it is required; this member could never lead.
    """
    mode = watchdog_mode(__pillar__["pigsty"]["pgsql"]["params"])
    if mode == "off" or __salt__["pigsty_patroni.watchdog"]():
        return
    if mode == "required":
        raise CommandExecutionError(
            f"patroni_watchdog_mode is `required`, but this machine has no {WATCHDOG}: load its "
            "kernel module (softdog, for one), or say `automatic`"
        )
    __salt__["pigsty_note.add"]("watchdog", f"Patroni goes without, there is no {WATCHDOG}")


def _sentence(member: dict[str, Any]) -> str:
    """Return what a person wants to know of the member."""
    text = f"{member['name']} is {member['role']} and {member['state']}"
    if member["pending_restart"]:
        names = ", ".join(member["pending_restart"])
        text += f"; wait for a restart of PostgreSQL: {names}"
    if member["paused"]:
        text += "; the cluster is paused"
    return text
