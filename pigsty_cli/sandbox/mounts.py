"""Overlay and bind mounts: what is mounted is read from the kernel, never remembered."""

from collections.abc import Sequence
from pathlib import Path

from pigsty.deadlines import wait_until
from pigsty_cli.sandbox.process import run

MOUNTINFO = Path("/proc/self/mountinfo")


def mounted_under(folder: Path, mountinfo: str | None = None) -> list[Path]:
    """Return the mount points at or below a folder, the innermost first.

    Args:
        folder: an absolute path.
        mountinfo: the kernel's table; read now when not given.
    """
    table = MOUNTINFO.read_text(encoding="utf-8") if mountinfo is None else mountinfo
    # The kernel writes blanks, tabs, newlines and backslashes of a path as three octal digits.
    points = [
        Path(line.split()[4].encode("latin-1", "backslashreplace").decode("unicode_escape"))
        for line in table.splitlines()
    ]
    inside = [point for point in points if point == folder or folder in point.parents]
    return sorted(inside, key=lambda point: len(point.parts), reverse=True)


def overlay(layers: Sequence[Path], upper: Path, work: Path, target: Path) -> None:
    """Mount a writable overlay.

    Args:
        layers: the read-only folders, the topmost first.
        upper: takes all writes.
        work: an empty folder on the same file system as `upper`.
        target: where it is mounted.

    Raises:
        CommandError: the kernel refused.
    """
    for folder in (upper, work, target):
        folder.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(map(str, layers))},upperdir={upper},workdir={work}"
    run(["mount", "-t", "overlay", "pigsty-sandbox", "-o", options, str(target)])


def bind(source: Path, target: Path) -> None:
    """Make a folder of the host visible at another place, with whatever is mounted below it."""
    target.mkdir(parents=True, exist_ok=True)
    run(["mount", "--rbind", "--make-rslave", str(source), str(target)])


def unmount_all(folder: Path) -> None:
    """Unmount everything at or below a folder; no error when nothing is.

    Raises:
        DeadlineExceeded: something keeps a mount busy.
    """

    def unmounted() -> bool:
        for point in mounted_under(folder):
            run(["umount", str(point)], check=False)
        return not mounted_under(folder)

    wait_until(unmounted, "sandbox.release", f"unmounting {folder}")
