"""The exporters of a node, all in one state; each is restarted for a change of its own only."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import pki
from pigsty.convergence import converge
from pigsty.render import exporters, logs, nginx
from pigsty.render.daemon import drop_in
from pigsty.render.files import File

__virtualname__ = "pigsty_daemon"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def exporters_managed(name: str) -> dict[str, Any]:
    """Keep the programs running that publish this node's metrics.

    On a node that was an infra node and is none any more, what watched stops; what it has collected
    stays on its disk.

    Args:
        name: the state's name.
    """
    spec = __pillar__["pigsty"]["node"]["monitor"]
    present = [file.name for file in Path(exporters.UNITS).glob(f"{exporters.REMOTE}*.service")]
    ours = {unit: (drop_in(unit).path, f"{exporters.UNITS}/{unit}") for unit in spec["idle"]}
    idle = [unit for unit, paths in ours.items() if any(Path(path).exists() for path in paths)]
    portal = Path(nginx.PORTAL)
    left = [drop_in(unit).path for unit in idle]
    if spec["idle"] and portal.exists():
        idle, left = [*idle, "nginx.service"], [*left, nginx.PORTAL, logs.NGINX]
    if spec["idle"]:
        # Nobody has these targets any more: the other infra nodes would miss them.
        left.append(exporters.TARGETS)
    daemons = exporters.daemons(spec, sorted(present), idle)
    certificates = _certificates(spec["certificates"]) if spec["exporters"]["node"] else None
    files = [exporters.web(spec["tls"]), File(exporters.CERTIFICATES, certificates)]
    files += [File(path, None) for path in left]
    return converge(
        name,
        "the exporters",
        lambda: __salt__["pigsty_daemon.plan"](daemons, files),
        lambda changes: __salt__["pigsty_daemon.enact"](daemons, files, changes),
        test=__opts__["test"],
        errors=(CommandExecutionError,),
    )


def _certificates(paths: Mapping[str, str]) -> str | None:
    """Return the metrics of this node's certificates, or None while it has none."""
    ends = {}
    for role, path in sorted(paths.items()):
        pem = __salt__["pigsty_file.read"](path)
        if pem:
            # What is no certificate, nginx refuses with a better word.
            with suppress(pki.PkiError):
                ends[role, path] = pki.expiry(pem.encode())
    return exporters.certificates(ends)
