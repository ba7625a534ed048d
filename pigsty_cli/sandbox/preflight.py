"""What this host must be and have, looked at before anything is changed."""

import os
import shutil
from pathlib import Path

from pigsty_cli.sandbox import cgroups
from pigsty_cli.sandbox.errors import CommandError, PreflightError, SandboxError
from pigsty_cli.sandbox.paths import Paths
from pigsty_cli.sandbox.process import run
from pigsty_cli.sandbox.progress import Progress

NEEDED_BYTES = 6 * 2**30
"""Images and wheels take 0.8 GiB, a node with everything on it about 1 GiB."""

# Program and the Debian package that brings it.
TOOLS = {
    "chroot": "coreutils",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "systemd-nspawn": "systemd-container",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PROBE = """table bridge pigsty_probe {
  chain probe {
    type filter hook forward priority 0; policy accept;
    meta l4proto tcp drop
  }
}
table ip pigsty_probe {
  chain probe {
    type nat hook postrouting priority 100; policy accept;
    masquerade
  }
}
"""


def check(paths: Paths) -> None:
    """See whether this host can carry the sandbox.

    Raises:
        PreflightError: it can't; one line says what is missing. Nothing was changed.
    """
    require_root()
    if missing := missing_features():
        raise PreflightError(f"this host's kernel lacks {', '.join(missing)}")
    if missing_packages() and not shutil.which("apt-get"):
        raise PreflightError(
            f"not installed, and there is no apt-get: {', '.join(sorted(missing_packages()))}"
        )
    for folder in (paths.state, paths.cache):
        free = shutil.disk_usage(_existing(folder)).free
        if free < NEEDED_BYTES:
            raise PreflightError(
                f"{folder}: {free / 2**30:.1f} GiB free, {NEEDED_BYTES // 2**30} GiB needed"
            )
        if _type_of(_existing(folder)) == "overlay":
            raise PreflightError(
                f"{folder} lies on an overlay file system, which can't carry another: "
                "name a folder on a real one with PIGSTY_SANDBOX_DIR and PIGSTY_SANDBOX_CACHE"
            )


def require_root() -> None:
    """See that we are root.

    Raises:
        PreflightError: we are not.
    """
    if os.geteuid() != 0:
        raise PreflightError("the sandbox makes mounts, bridges and containers: run it as root")


def missing_features() -> list[str]:
    """Return the kernel features that are needed and not there, by name."""
    missing = []
    file_systems = Path("/proc/filesystems").read_text(encoding="ascii").split()
    # The second look is for a kernel that would load it as a module.
    if "overlay" not in file_systems and run(["modprobe", "-n", "overlay"], check=False).returncode:
        missing.append("overlayfs")
    missing += [
        f"{name} namespaces"
        for name in ("net", "pid", "mnt", "uts", "ipc", "cgroup")
        if not Path("/proc/self/ns", name).exists()
    ]
    try:
        cgroups.hierarchies()
    except SandboxError:
        missing.append("control groups mounted at /sys/fs/cgroup")
    if shutil.which("nft") and not _nft_works():
        missing.append("nftables with bridge filtering and masquerading")
    return missing


def missing_packages() -> set[str]:
    """Return the Debian packages whose programs are not there."""
    packages = {package for tool, package in TOOLS.items() if not shutil.which(tool)}
    return packages if KEYRING.exists() else packages | {"debian-archive-keyring"}


def install_tools(progress: Progress) -> None:
    """Install the missing tools with the host's own package manager.

    Raises:
        CommandError: apt-get failed.
        PreflightError: with the tools there, the kernel turned out to lack something.
    """
    if not (packages := sorted(missing_packages())):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with progress.step(f"host tools: {' '.join(packages)}"):
        install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages]
        try:
            run(install, env=environment)
        except CommandError:  # the package lists are old or not there
            run(["apt-get", "update", "-qq"], env=environment)
            run(install, env=environment)
    if missing := missing_features():
        raise PreflightError(f"this host's kernel lacks {', '.join(missing)}")


def _nft_works() -> bool:
    """Whether the kernel takes our kinds of rules; `-c` checks and changes nothing."""
    try:
        return run(["nft", "-c", "-f", "-"], stdin=PROBE, check=False).returncode == 0
    except CommandError:
        return False


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _type_of(folder: Path) -> str:
    return run(["stat", "-f", "-c", "%T", str(folder)], check=False).stdout.strip()
