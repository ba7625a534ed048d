"""What the deployment does by itself: where it is declared, and what may heal."""

from __future__ import annotations

from collections.abc import Iterator

from pigsty import targets
from pigsty.findings import Finding
from pigsty.rules.context import Context

#: Settings of the deployment as a whole (:class:`pigsty.automatic.Automatic`).
SETTINGS = (
    "pigsty_auto_apply",
    "pigsty_drift_interval",
    "pigsty_git_interval",
    "pigsty_self_heal",
)


def places(ctx: Context) -> Iterator[Finding]:
    """Warn of settings of the deployment that stand where nobody reads them."""
    for use in ctx.uses:
        if use.name in SETTINGS and not use.variable.path.startswith("all.vars."):
            text = f"{use.written} is about the whole deployment and is read in all.vars only"
            yield ctx.warning(use.place, text, "move it to all.vars")


def modules(ctx: Context) -> Iterator[Finding]:
    """Report names of modules that aren't any, among those that may heal."""
    for use in ctx.uses:
        value = use.variable.value
        if use.name != "pigsty_self_heal" or not isinstance(value, list):
            continue
        for at, name in enumerate(value):
            if isinstance(name, str) and name.lower() not in targets.STATES:
                text = targets.nearest(name, targets.STATES, "module")
                yield ctx.error(use.place.inside(at), text, "list modules such as `node`")
