"""How the last drill of each cluster ended, where a metric can be read."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from pigsty.render.exporters import TEXTFILES

#: Where the node exporter of this machine looks for text files.
FOLDER = Path(TEXTFILES)
_HELP = {
    "success": "Whether the last drill of the cluster brought its row back.",
    "timestamp_seconds": "When the last drill ended.",
    "duration_seconds": "How long the last drill took.",
}


def note(cluster: str, seconds: float, *, proven: bool) -> None:
    """Write an outcome down; the file is replaced at once, never half-written.

    Args:
        cluster: its name.
        seconds: how long the drill took.
        proven: whether the row came back.
    """
    values = {
        "success": f"{proven:d}",
        "timestamp_seconds": f"{time.time():.0f}",
        "duration_seconds": f"{seconds:.1f}",
    }
    lines = []
    for name, value in values.items():
        lines.append(f"# HELP pigsty_drill_{name} {_HELP[name]}")
        lines.append(f"# TYPE pigsty_drill_{name} gauge")
        # Prometheus puts this machine's own `cls` on what it reads here.
        lines.append(f'pigsty_drill_{name}{{cluster="{cluster}"}} {value}')
    path = FOLDER / f"pigsty_drill_{cluster}.prom"
    new = path.with_suffix(".new")
    # The exit code tells too: a full disk must not hide how the drill itself ended.
    with suppress(OSError):
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        new.write_text("\n".join(lines) + "\n", encoding="utf-8")
        new.chmod(0o644)
        new.replace(path)
