"""The monitoring's files on an infra node: what is there, and whether what people wrote is good."""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salt.exceptions import CommandExecutionError

from pigsty.deadlines import DEADLINES
from pigsty.render import prometheus as render
from pigsty.render.files import BANNER
from pigsty.render.targets import FOLDER, PORTAL, PROMETHEUS_PORT

__virtualname__ = "pigsty_monitoring"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def stale(home: str, wanted: Mapping[str, str]) -> list[str]:
    """Return the target files of ours that name what is no longer declared; others' stay.

    Args:
        home: the folder of the monitoring.
        wanted: the target files that there shall be, by path below their folder.

    CLI Example: called by the state ``pigsty_monitoring.managed``.
    """
    folder = Path(home) / FOLDER
    found = []
    for path in sorted(folder.glob("*/*.yml")):
        if str(path.relative_to(folder)) not in wanted and _ours(path):
            found.append(str(path))
    return found


def own_rules(home: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return people's rule files that are good, and what is wrong with those that aren't.

    A file that is in use already isn't checked again. Of one that went bad, what was in use stays.

    Args:
        home: the folder of the monitoring.

    Returns:
        Texts by the name under which Prometheus reads them; complaints by path.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_monitoring.own_rules /infra
    """
    good: dict[str, str] = {}
    bad: dict[str, str] = {}
    for path in sorted((Path(home) / render.OWN_RULES).glob("*.y*ml")):
        name = f"own-{path.stem}.yml"
        text = __salt__["pigsty_file.read"](str(path)) or ""
        used = __salt__["pigsty_file.read"](f"{render.RULES}/{name}")
        if text != used:
            problem = _complaint(["promtool", "check", "rules", str(path)])
            if problem:
                bad[str(path)] = problem
                text = used or ""
        if text:
            good[name] = text
    return good, bad


def own_routes(home: str) -> tuple[str | None, dict[str, str]]:
    """Return people's configuration of Alertmanager, or what was in use where theirs is bad.

    Args:
        home: the folder of the monitoring.

    Returns:
        The text, None for the default; complaints by path.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_monitoring.own_routes /infra
    """
    path = f"{home}/{render.OWN_ROUTES}"
    text = __salt__["pigsty_file.read"](path)
    used = __salt__["pigsty_file.read"](render.ALERTMANAGER)
    if text is None or text == used:
        return text, {}
    problem = _complaint(["amtool", "check-config", path])
    if not problem:
        return text, {}
    # The default of an older release isn't kept for it.
    kept = used if used and not used.startswith(BANNER) else None
    return kept, {path: problem}


def check(config: str, rules: Mapping[str, str]) -> None:
    """Refuse what Prometheus would refuse.

    Args:
        config: its configuration.
        rules: the rule files, by name.

    Raises:
        CommandExecutionError: promtool's complaint.

    CLI Example: called by the state ``pigsty_monitoring.managed``.
    """
    with tempfile.TemporaryDirectory(prefix="pigsty-") as folder:
        staged = Path(folder)
        for name, text in rules.items():
            (staged / name).write_text(text, "utf-8")
        file = staged / "prometheus.conf"
        file.write_text(config.replace(f"{render.RULES}/*.yml", f"{folder}/*.yml"), "utf-8")
        problem = _complaint(["promtool", "check", "config", str(file)])
    if problem:
        raise CommandExecutionError(f"Prometheus refuses the new configuration: {problem}")


def ready() -> bool:
    """Return whether Prometheus answers.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_monitoring.ready
    """
    url = f"http://127.0.0.1:{PROMETHEUS_PORT}{PORTAL['prometheus']}/-/ready"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=DEADLINES["monitoring.request"]) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _ours(path: Path) -> bool:
    """Return whether a file begins as ours do."""
    text = __salt__["pigsty_file.read"](str(path))
    return text is not None and text.startswith(BANNER)


def _complaint(command: list[str]) -> str:
    """Return what a checker complains of, empty when it doesn't."""
    done: dict[str, Any] = __salt__["cmd.run_all"](command, python_shell=False)
    if not done["retcode"]:
        return ""
    lines = f"{done['stdout']}\n{done['stderr']}".splitlines()
    said = [line.strip() for line in lines if "FAILED" in line or "error" in line.lower()]
    return "; ".join(said or [line.strip() for line in lines if line.strip()])
