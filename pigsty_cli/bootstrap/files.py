"""Writes files below a root folder and reports what that changed."""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tree:
    """A machine's files, wherever they are mounted.

    Args:
        root: the folder that is ``/`` of that machine.
        changes: absolute paths on that machine that were written or deleted, in order.
    """

    root: Path
    changes: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        """Return where an absolute path of the machine is on this one."""
        return self.root / name.lstrip("/")

    def exists(self, name: str) -> bool:
        """Whether the machine has this file (a link counts, wherever it points)."""
        return os.path.lexists(self.path(name))

    def folder(self, name: str, mode: int) -> None:
        """Make a folder, and its parents, and see that it has this mode."""
        path = self.path(name)
        path.mkdir(parents=True, exist_ok=True)
        if path.stat().st_mode & 0o7777 != mode:
            path.chmod(mode)

    def write(self, name: str, content: bytes | str, mode: int) -> bool:
        """Write a file whole or not at all, unless it has this content already.

        Args:
            name: absolute path on the machine.
            content: what it shall hold.
            mode: its permissions.

        Returns:
            Whether anything changed.
        """
        data = content.encode() if isinstance(content, str) else content
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_bytes() == data:
            if path.stat().st_mode & 0o7777 == mode:
                return False
            path.chmod(mode)
        else:
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "wb") as file:
                os.fchmod(handle, mode)  # before the content: a secret is never readable to others
                file.write(data)
                file.flush()
                os.fsync(handle)
            Path(temporary).replace(path)
        self.changes.append(name)
        return True

    def remove(self, name: str) -> bool:
        """Delete a file; returns whether there was one."""
        if not self.exists(name):
            return False
        self.path(name).unlink()
        self.changes.append(name)
        return True

    def link(self, name: str, target: str) -> bool:
        """Make a symbolic link; returns whether anything changed."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() and str(path.readlink()) == target:
            return False
        if os.path.lexists(path):
            path.unlink()
        path.symlink_to(target)
        self.changes.append(name)
        return True
