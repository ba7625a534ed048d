"""State of the cluster's SQL objects: one for all of them, as they are read in one round trip."""

from __future__ import annotations

from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.wording import counted

__virtualname__ = "pigsty_sql"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def objects(name: str) -> dict[str, Any]:
    """Keep roles, databases, schemas, extensions and privileges as the inventory declares them.

    It acts on the live leader; on every other member it says who leads, and does nothing. What
    can't be done for one object is told and fails the state; the others are done all the same.
    What is no failure and should be known all the same is a warning, as those are printed.

    Args:
        name: the cluster, for the comment.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    try:
        found = __salt__["pigsty_sql.objects"](test=__opts__["test"])
    except CommandExecutionError as error:
        return {**ret, "result": False, "comment": str(error)}
    if found["leader"]:
        return {**ret, "comment": f"no action: {found['leader']} leads {name}"}
    if not found["reachable"]:
        return _unreachable(ret, found["notes"])
    ret["changes"] = found["changes"]
    count = len(found["changes"])
    if not count:
        lines = [f"objects of {name}: as declared"]
    else:
        verb = "would be changed" if __opts__["test"] else "changed"
        lines = [f"objects of {name}: {count} {verb}"]
    if __opts__["test"] and count:
        ret["result"] = None
    if found["failures"]:
        ret["result"] = False
        lines[0] += f", {len(found['failures'])} failed"
        lines += [f"{subject}: {reason}" for subject, reason in found["failures"].items()]
    ret["comment"] = "\n".join(lines)
    if found["notes"]:
        ret["warnings"] = found["notes"]
    return ret


def _unreachable(ret: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """In test mode, before there is a server: the declared primary is going to make the objects."""
    spec = __pillar__["pigsty"]["pgsql"]
    if spec["role"] != "primary":
        return {**ret, "comment": f"no action: not the primary of {ret['name']}"}
    declared = spec["objects"]
    roles, databases = len(declared["roles"]), len(declared["databases"])
    summary = f"{counted(roles, 'role')}, {counted(databases, 'database')}"
    comment = "\n".join(["the objects would be made once the server runs", *notes])
    return {
        **ret,
        "result": None,
        "changes": {"objects": {"old": None, "new": summary}},
        "comment": comment,
    }
