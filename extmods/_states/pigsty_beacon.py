"""State of a beacon of this minion: configured, in force now, and after a restart too."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

__virtualname__ = "pigsty_beacon"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def present(name: str, source: str, interval: int) -> dict[str, Any]:
    """Have the minion look through a beacon from time to time.

    Args:
        name: the state's name.
        source: the beacon. (`beacon` is a word of Salt's own in a state.)
        interval: seconds between two looks.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True}
    wanted = [{"interval": interval}]
    try:
        found = _configured(source)
        if found == wanted:
            return {**ret, "comment": f"{source} looks every {interval} s"}
        ret["changes"] = {source: {"old": found, "new": wanted}}
        if __opts__["test"]:
            return {**ret, "result": None, "comment": f"{source} would look every {interval} s"}
        # Its file may have come with this run's modules: the daemon looks for new ones when told.
        __salt__["saltutil.refresh_beacons"]()
        _do("add" if found is None else "modify", source, wanted)
        _do("save")
        if _configured(source) != wanted:
            raise CommandExecutionError(f"the minion doesn't take the beacon {source}")
    except CommandExecutionError as error:
        return {**ret, "changes": {}, "result": False, "comment": str(error)}
    return {**ret, "comment": f"{source} looks every {interval} s"}


def _configured(beacon: str) -> list[dict[str, Any]] | None:
    """Return a beacon's settings as the running minion has them, None for none.

    Raises:
        CommandExecutionError: no minion runs here, or it doesn't answer.
    """
    found = __salt__["beacons.list"](return_yaml=False, include_pillar=False)
    if not isinstance(found, dict) or found.get("result") is False:
        raise CommandExecutionError("the minion doesn't say which beacons it has")
    own = found.get(beacon)
    return None if own is None else [dict(setting) for setting in own]


def _do(what: str, *words: Any) -> None:
    answer = __salt__[f"beacons.{what}"](*words)
    if not answer.get("result"):
        raise CommandExecutionError(str(answer.get("comment") or f"beacons.{what} failed"))
