"""States of a PostgreSQL member's folders and small files."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.render import citus, pglayout, record

__virtualname__ = "pigsty_pgsql"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def prepared(name: str) -> dict[str, Any]:
    """Keep what must be there before the packages come: folders, links, and no cluster of Debian's.

    The member's record comes here as well: whatever is made after it can be found and removed. A
    machine that holds another member is left alone.

    Args:
        name: the state's name.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    own = record.Record.of(__pillar__["pigsty"]["pgsql"])
    files = [*pglayout.before_packages(__pillar__["pigsty"]["pgsql"]), own.file()]
    try:
        _alone(own)
        ret["changes"] = {
            **__salt__["pigsty_pgsql.layout"](),
            **__salt__["pigsty_file.changes"](files),
        }
        if ret["changes"] and not __opts__["test"]:
            __salt__["pigsty_pgsql.make_layout"]()
            __salt__["pigsty_file.converge"](files)
            left = __salt__["pigsty_pgsql.layout"]()
            if left:
                raise CommandExecutionError(f"made, but still different: {', '.join(sorted(left))}")
    except CommandExecutionError as err:
        ret.update(result=False, comment=str(err))
        return ret
    return _said(ret, "the folders of PostgreSQL")


def configured(name: str) -> dict[str, Any]:
    """Keep the shell's profile, sudo rights and the units' drop-ins.

    Args:
        name: the state's name.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    spec = __pillar__["pigsty"]["pgsql"]
    files = [*pglayout.files(spec), *citus.files(spec)]
    try:
        ret["changes"] = __salt__["pigsty_file.changes"](files)
        if ret["changes"] and not __opts__["test"]:
            __salt__["pigsty_file.converge"](files)
            __salt__["pigsty_systemd.act"]("daemon-reload")
    except CommandExecutionError as err:
        ret.update(result=False, comment=str(err))
        return ret
    return _said(ret, "files around PostgreSQL")


def _alone(own: record.Record) -> None:
    """Refuse to make a member where another one was made and not removed.

    Raises:
        CommandExecutionError: there is one; the text says how it is removed.
    """
    old = record.Record.read(__salt__["pigsty_file.read"](record.PATH))
    if old is not None and old.instance != own.instance:
        raise CommandExecutionError(
            f"{old.instance} lives on this machine, {own.instance} would take its place: remove it "
            f"first with `pigsty pgsql rm {old.cluster} {old.instance}`"
        )


def _said(ret: dict[str, Any], what: str) -> dict[str, Any]:
    if not ret["changes"]:
        ret["comment"] = f"{what} are as they shall be"
    elif __opts__["test"]:
        ret.update(result=None, comment=f"{what} would be changed")
    else:
        ret["comment"] = f"{what} have been changed"
    return ret
