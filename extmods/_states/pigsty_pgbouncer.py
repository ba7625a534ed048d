"""State of this member's PgBouncer: its files, and the daemon running with them."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.errors import PigstyError

__virtualname__ = "pigsty_pgbouncer"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def managed(name: str) -> dict[str, Any]:
    """Keep PgBouncer configured, enabled and running with its configuration.

    A change is reloaded and clients stay connected; only what PgBouncer reads at its start alone
    (the addresses that it listens on, for example) restarts it.

    Args:
        name: the state's name.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    spec = __pillar__["pigsty"]["pgsql"]
    unit = spec["platform"]["pgbouncer_unit"]
    try:
        status = __salt__["pigsty_systemd.show"](unit)[unit]
        if not spec["params"]["pgbouncer_enabled"]:
            return _stopped(ret, unit, status)
        files = __salt__["pigsty_pgbouncer.files"]()
        planned = __salt__["pigsty_systemd.plan"](unit, status)
        starts = "active" in planned.get(unit, {})
        verb = ""
        if not starts:
            verb = __salt__["pigsty_pgbouncer.need"](unit, int(status.get("MainPID") or 0), files)
        changes = __salt__["pigsty_file.changes"](files)
        changes.update(planned)
        if verb:
            changes.setdefault(unit, {})["loaded"] = {"old": "other configuration", "new": verb}
        ret["changes"] = changes
        ret["comment"] = "PgBouncer runs with its configuration"
        if not changes:
            return ret
        if __opts__["test"]:
            ret.update(result=None, comment="PgBouncer would be changed")
            return ret
        __salt__["pigsty_file.converge"](files)
        if status.get("NeedDaemonReload") == "yes":
            __salt__["pigsty_systemd.act"]("daemon-reload")
        __salt__["pigsty_systemd.enact"](planned)
        if verb:
            __salt__["pigsty_systemd.act"](verb, unit)
        __salt__["pigsty_pgbouncer.mark"](unit, files, starts or verb == "restart")
        after = __salt__["pigsty_systemd.show"](unit)[unit]
        if after.get("ActiveState") not in ("active", "reloading"):
            raise CommandExecutionError(
                f"PgBouncer is {after.get('ActiveState')}: see `journalctl -u {unit}`"
            )
    except (CommandExecutionError, PigstyError) as err:
        ret.update(result=False, comment=str(err))
    return ret


def _stopped(ret: dict[str, Any], unit: str, status: dict[str, str]) -> dict[str, Any]:
    """Keep PgBouncer stopped and disabled where the inventory doesn't want it."""
    ret["comment"] = "PgBouncer is off"
    if status.get("LoadState") == "not-found":
        return ret
    ret["changes"] = __salt__["pigsty_systemd.plan"](unit, status, running=False)
    if ret["changes"] and __opts__["test"]:
        ret.update(result=None, comment="PgBouncer would be stopped")
    elif ret["changes"]:
        __salt__["pigsty_systemd.enact"](ret["changes"])
    return ret
