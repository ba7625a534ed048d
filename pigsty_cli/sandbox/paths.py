"""Where the sandbox keeps what it has on the host."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

STATE = Path("/var/lib/pigsty/sandbox")
CACHE = Path("/var/cache/pigsty/sandbox")


@dataclass(frozen=True)
class Paths:
    """The two folders of the sandbox.

    Args:
        state: the nodes' disks and what was booted; `destroy` empties it.
        cache: images, wheels and package archives; only `destroy --cache` removes it.
    """

    state: Path
    cache: Path

    @classmethod
    def from_env(cls) -> "Paths":
        """Return the default folders, or those that `PIGSTY_SANDBOX_DIR` and `_CACHE` name."""
        return cls(
            Path(os.environ.get("PIGSTY_SANDBOX_DIR", STATE)),
            Path(os.environ.get("PIGSTY_SANDBOX_CACHE", CACHE)),
        )

    def group(self, name: str) -> str:
        """Return the name of a node's control groups; no other sandbox of this host has it."""
        if self.state == STATE:
            return f"pigsty-{name}"
        return f"pigsty-{hashlib.sha256(bytes(self.state)).hexdigest()[:6]}-{name}"

    @property
    def nodes(self) -> Path:
        """One folder per node: its disk and its console's log."""
        return self.state / "nodes"

    @property
    def spec(self) -> Path:
        """What was booted last, as JSON: the other commands need no inventory."""
        return self.state / "spec.json"

    @property
    def inventory(self) -> Path:
        """The inventory that was booted last; the file that it came from may be gone by now."""
        return self.state / "inventory.yml"

    @property
    def forwarding(self) -> Path:
        """The host's own setting of IP forwarding, to be put back by `down`."""
        return self.state / "ip_forward"

    @property
    def lock(self) -> Path:
        """Held by the one command that changes the sandbox."""
        return self.state / "lock"

    @property
    def images(self) -> Path:
        """Root file systems: the base and the Salt layer on it."""
        return self.cache / "images"

    @property
    def wheels(self) -> Path:
        """Wheels of Salt and its dependencies for the nodes' Python."""
        return self.cache / "wheels"

    @property
    def archives(self) -> Path:
        """Debian packages that were downloaded once; the admin node's apt shares them."""
        return self.cache / "archives"
