"""Control groups: each node's processes are in one of their own, which is how they are found.

A host has one unified hierarchy, or, when its init mixes both versions, a unified one beside
systemd's own. A node gets a group in each: systemd-nspawn keeps the group that it is started in and
makes the same paths everywhere, so two nodes that started in the same group would collide.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from pigsty.deadlines import wait_until
from pigsty_cli.sandbox.errors import SandboxError

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Return the hierarchies that systemd uses on this host, the unified one first.

    Raises:
        SandboxError: there is none.
    """
    if (ROOT / "cgroup.procs").exists():
        return [ROOT]
    found = [
        path for path in (ROOT / "unified", ROOT / "systemd") if (path / "cgroup.procs").exists()
    ]
    if not found:
        raise SandboxError(f"no control groups that systemd could use under {ROOT}")
    return found


def groups(name: str) -> list[Path]:
    """Return the folders of a group, one per hierarchy, whether they exist or not."""
    return [hierarchy / name for hierarchy in hierarchies()]


def create(name: str) -> list[Path]:
    """Make a group and return the files that a process joins them by."""
    folders = groups(name)
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return [folder / "cgroup.procs" for folder in folders]


def processes(name: str) -> list[int]:
    """Return the ids of all processes of a node, its container manager included."""
    return sorted({pid for folder in groups(name) for pid in _pids(folder)})


def init_of(name: str) -> int | None:
    """Return the host's id of a node's process 1, or None when the node is not running."""
    return next((pid for pid in processes(name) if _is_init(pid)), None)


def kill(name: str) -> None:
    """End all processes of a node at once, as a power cut does; no error when there is none.

    Raises:
        DeadlineExceeded: the kernel could not end them.
    """

    def gone() -> bool:
        for pid in processes(name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not processes(name)

    wait_until(gone, "sandbox.kill", f"{name}: its processes end")


def remove(name: str) -> None:
    """Remove a group, which must hold no process.

    Raises:
        DeadlineExceeded: they are still busy.
    """

    def removed() -> bool:
        for folder in groups(name):
            for path in _tree(folder):
                try:
                    path.rmdir()
                except OSError:  # busy until its last process is reaped: look again
                    return False
        return True

    wait_until(removed, "sandbox.release", f"{name}: its control groups are removed")


def _tree(folder: Path) -> Iterator[Path]:
    """All groups at or below one, the innermost first; one that goes away meanwhile is left out."""
    return (Path(name) for name, _groups, _files in os.walk(folder, topdown=False))


def _pids(folder: Path) -> Iterator[int]:
    for group in list(_tree(folder)):
        try:
            text = (group / "cgroup.procs").read_text(encoding="ascii")
        except OSError:  # the group went away meanwhile
            continue
        yield from map(int, text.split())


def _is_init(pid: int) -> bool:
    """Whether a process is number 1 in a namespace one level below ours."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    ids = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(ids) > 1 and ids[-1] == "1"
