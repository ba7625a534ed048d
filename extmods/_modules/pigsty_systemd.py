"""Units of systemd: what they are, several at one call, and bringing them where they shall be."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.deadlines import DEADLINES

__virtualname__ = "pigsty_systemd"

_DEBTS = Path("/run/pigsty/owed")
_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,ConditionResult,MainPID"


def __virtual__() -> str:
    """Load everywhere; on a machine without systemd every unit is ``not-found``."""
    return __virtualname__


def show(*units: str) -> dict[str, dict[str, str]]:
    """Return properties of units by the name given: LoadState, ActiveState, UnitFileState …

    A unit that does not exist has the LoadState ``not-found``.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_systemd.show haproxy.service chrony.service
    """
    answer = _systemctl("show", f"--property={_PROPERTIES}", "--", *units, check=False)
    blocks = answer.stdout.strip().split("\n\n") if answer.stdout.strip() else []
    rows = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
    if len(rows) != len(units):
        return {unit: {"LoadState": "not-found", "ActiveState": "inactive"} for unit in units}
    return dict(zip(units, rows, strict=True))


def exists(unit: str) -> bool:
    """Return True when systemd knows the unit.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_systemd.exists haproxy.service
    """
    return show(unit)[unit]["LoadState"] not in ("not-found", "masked")


def plan(unit: str, status: dict[str, str], running: bool = True) -> dict[str, Any]:
    """Return what it takes to have a unit enabled and running (or disabled and stopped).

    Args:
        unit: the unit's name.
        status: its properties as :func:`show` gave them.
        running: whether it shall run.

    Returns:
        ``{unit: {"enabled": {old, new}, "active": {old, new}}}`` without what is right already.

    CLI Example: called by states.
    """
    change: dict[str, Any] = {}
    on_boot, active = status.get("UnitFileState", ""), status.get("ActiveState", "inactive")
    # A reloading or activating unit is on its way; a static unit needs no enabling.
    settled = active in ("active", "reloading", "activating")
    if running and on_boot in ("disabled", ""):
        change["enabled"] = {"old": on_boot or "disabled", "new": "enabled"}
    if not running and on_boot == "enabled":
        change["enabled"] = {"old": "enabled", "new": "disabled"}
    if running != settled:
        change["active"] = {"old": active, "new": "active" if running else "inactive"}
    return {unit: change} if change else {}


def enact(planned: dict[str, Any]) -> None:
    """Do what :func:`plan` returned.

    Raises:
        CommandExecutionError: systemd refused; the text holds its reason.

    CLI Example: called by states.
    """
    for unit, change in planned.items():
        if "enabled" in change:
            _systemctl("enable" if change["enabled"]["new"] == "enabled" else "disable", unit)
        if change.get("active", {}).get("old") == "failed":
            # A unit that failed too often is refused a start until this is forgotten.
            _systemctl("reset-failed", unit)
        if "active" in change:
            _systemctl("start" if change["active"]["new"] == "active" else "stop", unit)


def owe(unit: str, verb: str) -> None:
    """Remember that a unit needs a verb, before the change that makes it necessary.

    A run that is killed between the change and the verb leaves the debt, and the next run pays it.
    The memory does not outlive a boot, and need not: the unit has started with the change by then.

    CLI Example: called by states.
    """
    debt = _DEBTS / unit
    debt.parent.mkdir(parents=True, exist_ok=True)
    debt.write_text(verb)


def owed(unit: str) -> str:
    """Return the verb that a unit still needs, empty when it needs none.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_systemd.owed chrony.service
    """
    debt = _DEBTS / unit
    return debt.read_text() if debt.exists() else ""


def pay(unit: str) -> None:
    """Run the verb that a unit still needs, if any.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_systemd.pay chrony.service
    """
    verb = owed(unit)
    if verb:
        _systemctl(verb, unit)
        (_DEBTS / unit).unlink(missing_ok=True)


def act(verb: str, *units: str) -> None:
    """Run one verb of systemctl (``reload``, ``restart``, ``daemon-reload`` …).

    Raises:
        CommandExecutionError: systemd refused; the text holds its reason.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_systemd.act reload haproxy.service
    """
    _systemctl(verb, *units)


def _systemctl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run systemctl within its deadline."""
    command = ["systemctl", "--no-ask-password", *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINES["node.systemctl"],
        )
    except FileNotFoundError:
        if check:
            raise CommandExecutionError("this machine has no systemd") from None
        return subprocess.CompletedProcess(command, 127, "", "")
    except subprocess.TimeoutExpired as err:
        raise CommandExecutionError(
            f"systemctl {' '.join(arguments)}: not within {DEADLINES['node.systemctl']:g} s"
            " (deadline node.systemctl)"
        ) from err
    if check and done.returncode:
        raise CommandExecutionError(
            f"systemctl {' '.join(arguments)} failed: {done.stderr.strip() or done.returncode}"
        )
    return done
