"""The exporters of a node, all in one state; each is restarted for a change of its own only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty import pki
from pigsty.convergence import converge
from pigsty.render import exporters, logs, nginx, prometheus
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
    idle, left = _idle(spec["idle"])
    daemons = exporters.daemons(spec, sorted(present), idle)
    stopped = {daemon.unit for daemon in daemons if not daemon.running}
    for unit in sorted(stopped.intersection(present)):
        left += exporters.remote_files(unit)
    certificates = _certificates(spec["certificates"]) if spec["exporters"]["node"] else None
    files = [exporters.web(spec["tls"]), File(exporters.CERTIFICATES, certificates)]
    # There are keys and passwords among them.
    gone = [File(path, None, secret=True) for path in left]

    def plan() -> dict[str, Any]:
        changes: dict[str, Any] = __salt__["pigsty_daemon.plan"](daemons, files)
        return {**changes, **__salt__["pigsty_file.changes"](gone)}

    def act(changes: dict[str, Any]) -> None:
        __salt__["pigsty_daemon.enact"](daemons, files, changes)
        # By these files a unit is known as ours: they go when it has stopped, so that a run which
        # is killed before that is taken up by the next one.
        __salt__["pigsty_file.converge"](gone)
        if any(path in changes for path in left if path.startswith(exporters.UNITS)):
            __salt__["pigsty_systemd.act"]("daemon-reload")

    errors = (CommandExecutionError,)
    return converge(name, "the exporters", plan, act, test=__opts__["test"], errors=errors)


def _idle(units: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what an infra node ran and this one shall not, and the files that go with it.

    Units of the same name that somebody else keeps are left alone.

    Args:
        units: that only infra nodes run; empty on an infra node.
    """
    if not units:
        return [], []
    ours = {unit: (drop_in(unit).path, f"{exporters.UNITS}/{unit}") for unit in units}
    idle = [unit for unit, paths in ours.items() if any(Path(path).exists() for path in paths)]
    # Nobody has these targets any more: the other infra nodes would miss them. And keys that open
    # every etcd and Patroni belong on infra nodes only.
    left = [path for unit in idle for path in ours[unit]]
    left += [exporters.TARGETS, *logs.KEPT, prometheus.CERTIFICATE, prometheus.KEY]
    portal = Path(nginx.PORTAL)
    if portal.exists():
        # The web server is the first to stop: what it hands on would wake what lies behind it.
        idle = ["nginx.service", *idle]
        left += [nginx.CERTIFICATE, nginx.KEY, nginx.USERS, logs.NGINX, nginx.PORTAL]
    return idle, left


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
