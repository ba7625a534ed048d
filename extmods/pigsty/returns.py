"""What a minion's state run returned, as counts, failures and changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

#: ``ok``: nothing to do; ``changed``: done (or, audited, to do); ``failed``: a state failed or the
#: run didn't start; ``unreachable``: the minion isn't connected; ``lost``: it went away meanwhile.
Verdict = Literal["ok", "changed", "failed", "unreachable", "lost"]

#: How Salt begins the comment of a state that didn't run because another failed.
_REQUISITE = "One or more requisite failed"


@dataclass(frozen=True, slots=True)
class Failure:
    """A state that failed: its id, its SLS, and what it says."""

    id: str
    sls: str
    comment: str


@dataclass(frozen=True, slots=True)
class Change:
    """A state that changed something (or would): its id, its SLS, and exactly what."""

    id: str
    sls: str
    changes: Any


@dataclass(frozen=True, slots=True)
class HostResult:
    """What became of one host.

    Attributes:
        host: minion id.
        status: see :data:`Verdict`.
        ok: states that found what they wanted.
        changed: states that changed something, or would under ``--test``.
        failed: states that failed by themselves.
        skipped: states that didn't run because another one failed.
        seconds: from the start of the job to the return.
        failures: every failure.
        changes: every change.
        warnings: what states warned of, each once.
        error: why there is no result by state; "" when there is.
    """

    host: str
    status: Verdict
    ok: int = 0
    changed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: tuple[Failure, ...] = ()
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether the host is as the inventory wants it (or, audited, could be looked at)."""
        return self.status in ("ok", "changed")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def parse(host: str, returned: Any, seconds: float = 0.0) -> HostResult:
    """Read what ``state.apply`` returned.

    Args:
        host: minion id.
        returned: a mapping by state; or a list of errors (the states didn't compile, another run
            was going on); or the text of an exception.
        seconds: how long it took.
    """
    if not isinstance(returned, Mapping) or not all(map(_is_state, returned.values())):
        return HostResult(host, "failed", failed=1, seconds=seconds, error=_text(returned))
    states = sorted(returned.values(), key=lambda state: state.get("__run_num__", 0))
    failures, changes, warnings = [], [], dict[str, None]()
    ok = skipped = 0
    for state in states:
        name, sls = str(state.get("__id__", state.get("name", ""))), str(state.get("__sls__", ""))
        warnings.update(dict.fromkeys(map(str, state.get("warnings", ()))))
        if state.get("changes"):
            changes.append(Change(name, sls, state["changes"]))
        if state["result"] is False:
            comment = _text(state.get("comment", ""))
            if comment.startswith(_REQUISITE):
                skipped += 1
            else:
                failures.append(Failure(name, sls, comment))
        elif not state.get("changes"):
            ok += 1
    bad = bool(failures or skipped)
    return HostResult(
        host=host,
        status="failed" if bad else "changed" if changes else "ok",
        ok=ok,
        changed=len(changes),
        failed=len(failures),
        skipped=skipped,
        seconds=seconds,
        failures=tuple(failures),
        changes=tuple(changes),
        warnings=tuple(warnings),
    )


def merge(first: HostResult, second: HostResult) -> HostResult:
    """Return two results of one host as one: a run in two phases is still one run to a person."""
    order: tuple[Verdict, ...] = ("ok", "changed", "failed", "unreachable", "lost")
    return HostResult(
        host=first.host,
        status=max(first.status, second.status, key=order.index),
        ok=first.ok + second.ok,
        changed=first.changed + second.changed,
        failed=first.failed + second.failed,
        skipped=first.skipped + second.skipped,
        seconds=first.seconds + second.seconds,
        failures=first.failures + second.failures,
        changes=first.changes + second.changes,
        warnings=tuple(dict.fromkeys(first.warnings + second.warnings)),
        error="\n".join(error for error in (first.error, second.error) if error),
    )


def changes(results: Iterable[HostResult]) -> dict[str, dict[str, Any]]:
    """Return what changed on each host, by the states' ids; hosts without a change are left out."""
    return {
        result.host: {change.id: change.changes for change in result.changes}
        for result in results
        if result.changes
    }


def trouble(results: Iterable[HostResult]) -> str:
    """Return what went wrong where, a line for each; "" when all are well."""
    lines: list[str] = []
    for result in (result for result in results if not result.good):
        lines += [f"{result.host}: {line}" for line in result.error.splitlines()]
        lines += [f"{result.host}: {fail.id}: {fail.comment}" for fail in result.failures]
    return "\n".join(lines)


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and "result" in value


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "\n".join(map(_text, value))
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_text(part)}" for key, part in value.items())
    return str(value).strip() or "no result"
