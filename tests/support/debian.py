"""Programs of other Debian releases for tests: unpacked in a folder, nothing is installed.

apt gets sources and state of its own, made of the mirror that this host is configured with, so the
host's lists and packages stay as they are. What was fetched once is kept in a cache.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pigsty_cli.sandbox import host

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pigsty-tests"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def program(package: str, suite: str, path: str) -> Path:
    """Return a program of a package of a Debian release.

    Args:
        package: its name.
        suite: code name of the release.
        path: of the program inside the package, for example ``usr/bin/consul``.
    """
    return unpacked(suite, package) / path


def unpacked(suite: str, *packages: str) -> Path:
    """Return the folder that packages of a Debian release are unpacked in, without what they need.

    Args:
        suite: code name of the release.
        packages: their names.
    """
    folder = CACHE / "-".join((suite, *packages))
    CACHE.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fetch(packages, suite, folder)
    return folder


def _fetch(packages: Sequence[str], suite: str, folder: Path) -> None:
    sources = [line for line in host.sources(suite) if f" {suite} " in line]
    names = ", ".join(packages)
    assert sources, f"{names} come from Debian's {suite}: this host names no mirror of Debian"
    with tempfile.TemporaryDirectory(prefix="apt-") as name:
        root = Path(name)
        root.chmod(0o755)  # apt fetches as a user of its own
        for part in ("lists/partial", "cache/archives/partial", "parts"):
            (root / part).mkdir(parents=True)
        signed = [line.replace("deb ", f"deb [signed-by={KEYRING}] ", 1) for line in sources]
        (root / "sources.list").write_text("\n".join(signed) + "\n")
        (root / "status").touch()
        (root / "host.conf").write_text(host.apt_settings())
        options = {
            "Dir::Etc::sourcelist": root / "sources.list",
            "Dir::Etc::sourceparts": root / "parts",
            "Dir::State::lists": root / "lists",
            "Dir::State::status": root / "status",
            "Dir::Cache": root / "cache",
            "APT::Sandbox::User": "root",
            # Packages are wanted: translations and the like are not.
            "Acquire::Languages": "none",
        }
        words = [f"-o{key}={value}" for key, value in options.items()]
        environment = {**os.environ, "APT_CONFIG": str(root / "host.conf")}
        for command in (["update", "-qq"], ["download", "-qq", *packages]):
            subprocess.run(["apt-get", *words, *command], cwd=root, check=True, env=environment)
        # What is in its place is whole: whoever is cut off here leaves nothing there.
        with tempfile.TemporaryDirectory(prefix="unpacked-", dir=folder.parent) as scratch:
            for archive in root.glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", archive, f"{scratch}/all"], check=True)
            Path(scratch, "all").rename(folder)
