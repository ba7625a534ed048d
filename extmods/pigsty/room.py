"""Whether data have room on a machine's disks, and what a program meant that found none.

Pure: the machine measures, the command refuses before anything is touched.
"""

from __future__ import annotations

from pigsty.wording import sized

#: What a copy beside a live cluster takes, as a multiple of the backup: its WAL comes on top.
COPY = 1.2
#: What a segment of WAL takes, which each backup has to archive before it begins.
SEGMENT = 16 * 2**20
#: How programs say that a write found no room: of the disk, or of somebody's share of it.
_FULL = ("No space left on device", "Disk quota exceeded")


def copy(where: str, backup: int, free: int) -> str:
    """Return why a copy of a backup has no room beside what is there; "" if it has.

    Args:
        where: the folder that it is made in.
        backup: bytes of the database in it.
        free: bytes that are free there.
    """
    needed = int(backup * COPY)
    if free >= needed:
        return ""
    return f"{where} has {sized(free)} free, the copy needs {sized(needed)}"


def place(where: str, backup: int, free: int, own: int) -> str:
    """Return why a backup has no room in the place of a member's data; "" if it may have.

    What surely can't work is refused, and nothing else: a database that fills nine tenths of its
    disk comes back to it. So no room for WAL is asked for here.

    Args:
        where: the data directory.
        backup: bytes of the database in the backup.
        free: bytes that are free on the disks that data and tablespaces lie on.
        own: bytes of the data that go.
    """
    if free + own >= backup:
        return ""
    return (
        f"{where} has {sized(own)} of data that go and {sized(free)} free, the backup needs "
        f"{sized(backup)}"
    )


def archive(where: str, free: int) -> str:
    """Return why a repository has no room for any backup; "" if it may have.

    PostgreSQL would be waited for in vain for a minute: the segment with the backup's begin has to
    be in the archive first.

    Args:
        where: the repository's folder.
        free: bytes that are free there.
    """
    if free >= SEGMENT:
        return ""
    return (
        f"the disk of the repository ({where}) is full: {sized(free)} free, a segment of WAL alone "
        f"takes up to {sized(SEGMENT)}. Make room, or keep fewer backups (retention_full)"
    )


def full(said: str) -> bool:
    """Whether a program failed because a disk is full.

    Args:
        said: its own words.
    """
    return any(words in said for words in _FULL)
