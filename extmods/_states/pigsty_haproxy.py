"""States of HAProxy: its main configuration, and the service files that it loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.render import haproxy
from pigsty.render.files import File

__virtualname__ = "pigsty_haproxy"

#: HAProxy reads its configuration as root; the main file holds the admin's password.
_SECRET = {"mode": "0640", "user": "root", "group": "root"}


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def services(
    name: str, prefix: str, files: Mapping[str, str] | None = None, owner: str = "pgsql"
) -> dict[str, Any]:
    """Keep the service files of one owner in HAProxy's folder, and HAProxy running with them.

    The whole configuration is checked with ``haproxy -c`` before a file is replaced; HAProxy is reloaded once.

    Args:
        name: the state's name.
        prefix: file names that are the owner's even without its mark, for example ``pg-test-``.
        files: text of each file by name, for example ``{"pg-test-primary.cfg": "listen …"}``.
        owner: whose the files are; files of this owner that are not named are removed.
    """
    return _converge(name, None, dict(files or {}), owner, prefix)


def managed(name: str) -> dict[str, Any]:
    """Keep HAProxy's main file, its unit's drop-in and the inventory's services as the pillar says.

    The texts come from the pillar (``pigsty:node:haproxy``), because the main file holds a password.

    Args:
        name: the state's name.
    """
    data = __pillar__["pigsty"]["node"]["haproxy"]
    if not data["enabled"]:
        return _stopped(name)
    return _converge(
        name,
        data["config"],
        data["services"],
        "node",
        clean=data["clean"],
        reload=data["reload"],
    )


def _converge(
    name: str,
    main: str | None,
    wanted: dict[str, str],
    owner: str,
    prefix: str = "",
    clean: bool = False,
    reload: bool = True,
) -> dict[str, Any]:
    """Compare, check, replace, and reload or start; ``main`` is None where the main file is not our matter."""
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    try:
        texts = {file: haproxy.owned(owner, text) for file, text in wanted.items()}
        foreign = [file for file in texts if PurePosixPath(file).name != file or file[0] == "."]
        if foreign:
            raise CommandExecutionError(f"not a plain file name: {', '.join(sorted(foreign))}")
        present = __salt__["pigsty_haproxy.present"]()
        old = haproxy.stale(present, texts, owner, prefix, clean)
        files = [File(f"{haproxy.SERVICES}/{file}", texts[file]) for file in sorted(texts)]
        files += [File(f"{haproxy.SERVICES}/{file}", None) for file in old]
        unit_files: list[File] = []
        if main is not None:
            files.append(File(haproxy.MAIN, main, secret=True, **_SECRET))
            unit_files.append(File(haproxy.DROP_IN, haproxy.drop_in()))
        found = __salt__["pigsty_file.changes"](files)
        unit = __salt__["pigsty_file.changes"](unit_files)
        changes = {**found, **unit}
        status = __salt__["pigsty_systemd.show"](haproxy.UNIT)[haproxy.UNIT]
        planned = __salt__["pigsty_systemd.plan"](haproxy.UNIT, status)
        # A file that others put there, or a reload that was cut off, shows here and nowhere else.
        need = __salt__["pigsty_haproxy.need"](status)
        act = "restart" if unit and need else need or ("reload" if found else "")
        if not reload and act == "reload":
            act = ""
        if "active" in planned.get(haproxy.UNIT, {}):
            act = ""
        changes.update(planned)
        if act:
            changes.setdefault(haproxy.UNIT, {})["loaded"] = {"old": "other configuration", "new": act}
        ret["changes"] = changes
        if not changes:
            ret["comment"] = "HAProxy runs with its configuration"
            return ret
        if __opts__["test"]:
            ret.update(result=None, comment="HAProxy's configuration would be changed")
            return ret
        _check(main, present, texts, old)
        __salt__["pigsty_file.converge"]([*files, *unit_files])
        if unit or status.get("NeedDaemonReload") == "yes":
            __salt__["pigsty_systemd.act"]("daemon-reload")
        __salt__["pigsty_systemd.enact"](planned)
        if act == "restart":
            __salt__["pigsty_systemd.act"]("restart", haproxy.UNIT)
        elif act:
            __salt__["pigsty_haproxy.reload"]()
        _read_back()
    except CommandExecutionError as err:
        ret.update(result=False, comment=str(err))
        return ret
    ret["comment"] = "HAProxy's configuration has been changed"
    return ret


def _check(
    main: str | None, present: Mapping[str, str], texts: Mapping[str, str], old: list[str]
) -> None:
    """Refuse a configuration that HAProxy refuses."""
    if main is None:
        main = __salt__["pigsty_file.read"](haproxy.MAIN)
    if main is None:
        raise CommandExecutionError(f"{haproxy.MAIN} is missing: apply the state `node` first")
    whole = {file: text for file, text in present.items() if file not in old}
    problem = __salt__["pigsty_haproxy.check"](main, {**whole, **texts})
    if problem:
        raise CommandExecutionError(f"HAProxy refuses the new configuration: {problem}")


def _read_back() -> None:
    """Fail unless HAProxy runs now."""
    status = __salt__["pigsty_systemd.show"](haproxy.UNIT)[haproxy.UNIT]
    if status.get("ActiveState") not in ("active", "reloading"):
        raise CommandExecutionError(
            f"HAProxy is {status.get('ActiveState')} after the change: see `journalctl -u haproxy`"
        )


def _stopped(name: str) -> dict[str, Any]:
    """Keep HAProxy stopped and disabled; its files stay."""
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": "HAProxy is off"}
    status = __salt__["pigsty_systemd.show"](haproxy.UNIT)[haproxy.UNIT]
    if status["LoadState"] == "not-found":
        return ret
    ret["changes"] = __salt__["pigsty_systemd.plan"](haproxy.UNIT, status, running=False)
    if ret["changes"] and __opts__["test"]:
        ret.update(result=None, comment="HAProxy would be stopped")
    elif ret["changes"]:
        try:
            __salt__["pigsty_systemd.enact"](ret["changes"])
        except CommandExecutionError as err:
            ret.update(result=False, comment=str(err))
    return ret
