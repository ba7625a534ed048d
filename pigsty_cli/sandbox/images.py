"""The root file systems: Debian as any bare server has it, and a layer with Salt on it.

Both are folders in the cache whose names hold a digest of what went in, so a changed recipe makes a
new one, and each appears under its name only when it is complete.
"""

import hashlib
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pigsty_cli.bootstrap import layout
from pigsty_cli.sandbox import host, mounts
from pigsty_cli.sandbox.paths import Paths
from pigsty_cli.sandbox.process import run
from pigsty_cli.sandbox.progress import Progress

SUITE = "trixie"
PYTHON = "python3.13"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    # Salt asks for the machine's own name at every turn; with no name server at hand that would
    # take 10 s each time.
    "libnss-myhostname",
    "libpam-systemd",
    "login",
    "openssh-server",
    "passwd",
    "procps",
    "python3",
    "python3-venv",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
)
COMPILER = ("gcc", "libc6-dev", "python3-dev")
# No first-boot questions; no console without a terminal; no package manager that runs by itself and
# holds the lock while a state wants it; the network is there when the node is.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "systemd-firstboot.service",
    "systemd-networkd-wait-online.service",
)
UNUSED_SECONDS = 24 * 3600
CLEAN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


def build(paths: Paths, progress: Progress, used: Collection[Path] = ()) -> tuple[Path, ...]:
    """Return the Salt layer and the base below it, building what is missing.

    Args:
        paths: the sandbox's folders.
        progress: told of each step.
        used: images that a node's disk was made on; they stay although their recipe is outdated.

    Raises:
        CommandError: a build failed; what it had made so far is removed by the next try.
    """
    pip_config = host.pip_config()
    base_name = f"base-{_digest(_base_recipe(pip_config))}"
    wheels_name = (
        f"wheels-{_digest([SUITE, PYTHON, layout.REQUIREMENTS.read_text(encoding='utf-8')])}"
    )
    salt_name = (
        f"salt-{_digest([base_name, wheels_name, layout.VENV, layout.WHEELS, layout.PYCACHE])}"
    )
    base, salt = paths.images / base_name, paths.images / salt_name
    wheels = paths.wheels / wheels_name
    for folder in (paths.images, paths.wheels, paths.archives):
        folder.mkdir(parents=True, exist_ok=True)
    if not base.is_dir():
        with progress.step("image: Debian 13"), _appearing(base) as new:
            _base(new, pip_config)
    if not wheels.is_dir():
        with progress.step("wheels of Salt"), _appearing(wheels) as new:
            _wheels(new, base, paths, pip_config)
    if not salt.is_dir():
        with progress.step("image: Salt"), _appearing(salt) as new:
            _salt(new, base, wheels)
    _prune(paths, keep={base, wheels, salt, *used})
    return salt, base


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _base_recipe(pip_config: str) -> list[str]:
    trusted = [path.read_text(encoding="utf-8", errors="replace") for path in host.certificates()]
    settings = [host.apt_settings(), pip_config]
    return [SUITE, *PACKAGES, *MASKED, *host.sources(SUITE), *settings, *trusted]


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Give a new folder that takes its name only when the block has ended well."""
    new = folder.with_name(f"{folder.name}.new")
    _remove(new)
    new.mkdir()
    yield new
    new.rename(folder)


def _remove(folder: Path) -> None:
    mounts.unmount_all(folder)
    if folder.exists():
        shutil.rmtree(folder)


def _prune(paths: Paths, keep: Collection[Path]) -> None:
    """Remove what older recipes made and nobody has used for a while.

    Another sandbox of this host may still have disks on it: each use renews a folder's date.
    """
    for path in (*paths.images.iterdir(), *paths.wheels.iterdir()):
        if path not in keep and time.time() - path.stat().st_mtime > UNUSED_SECONDS:
            _remove(path)


def _base(root: Path, pip_config: str) -> None:
    lines = host.sources(SUITE)
    run(
        [
            "mmdebstrap",
            "--variant=minbase",
            "--mode=root",
            "--format=directory",
            f"--keyring={KEYRING}",
            f"--include={','.join(PACKAGES)}",
            SUITE,
            str(root),
            *lines,
        ]
    )
    trusted = root / host.CERTIFICATES.relative_to("/")
    for path in host.certificates():
        shutil.copyfile(path, trusted / path.name)
    (root / "etc/apt/apt.conf.d/90host").write_text(host.apt_settings(), encoding="utf-8")
    (root / "etc/pip.conf").write_text(pip_config, encoding="utf-8")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each node gets one of its own
    with _entered([root]) as enter:
        run([*enter, "update-ca-certificates"], env=CLEAN_ENVIRONMENT)
        run([*enter, "systemctl", "enable", "systemd-networkd"], env=CLEAN_ENVIRONMENT)
        run([*enter, "systemctl", "mask", *MASKED], env=CLEAN_ENVIRONMENT)


def _wheels(target: Path, base: Path, paths: Paths, pip_config: str) -> None:
    """Make wheels of Salt and all that it needs, in a throw-away copy of a node with a compiler."""
    scratch = target.with_name("builder")
    _remove(scratch)
    environment = CLEAN_ENVIRONMENT | host.proxies()
    places = {folder: folder for folder in host.pip_folders(pip_config)}
    places |= {paths.archives: Path("/var/cache/apt/archives"), target: Path("/mnt")}
    with _entered([base], scratch, places) as enter:
        shutil.copyfile("/etc/resolv.conf", scratch / "root/etc/resolv.conf")
        shutil.copyfile(layout.REQUIREMENTS, scratch / "root/tmp/requirements.txt")
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *COMPILER],
            ["python3", "-m", "venv", "/tmp/pip"],  # noqa: S108 - in the throw-away copy
            ["/tmp/pip/bin/pip", "wheel", "-q", "-w", "/mnt", "-r", "/tmp/requirements.txt"],  # noqa: S108
        ):
            run([*enter, *command], env=environment)
    _remove(scratch)


def _salt(target: Path, base: Path, wheels: Path) -> None:
    """Install Salt into a layer of its own, byte-compiled into a folder outside of the sources.

    A node reads this repository through a read-only mount, so Python can't leave its byte code
    beside the sources there; with one cache for everything, `pigsty` and Salt start fast.
    """
    scratch = target.with_name("layer")
    _remove(scratch)
    python = f"{layout.VENV}/bin/python"
    environment = CLEAN_ENVIRONMENT | {"PIP_CONFIG_FILE": "/dev/null"}
    install = ["-m", "pip", "install", "-q", "--no-compile", "--no-index", "--find-links=/mnt"]
    with _entered([base], scratch, {wheels: Path("/mnt")}) as enter:
        run([*enter, "python3", "-m", "venv", layout.VENV], env=environment)
        requirements = scratch / "root/tmp/requirements.txt"
        shutil.copyfile(layout.REQUIREMENTS, requirements)
        run([*enter, python, *install, "-r", "/tmp/requirements.txt"], env=environment)  # noqa: S108
        requirements.unlink()
        packages = f"{layout.VENV}/lib/{PYTHON}/site-packages"
        (scratch / f"root{packages}/pigsty.pth").write_text(
            f"import sys; sys.pycache_prefix = {layout.PYCACHE!r}\n"
            f"{layout.SOURCE}/extmods\n{layout.SOURCE}\n",
            encoding="utf-8",
        )
        compiled = [f"{layout.VENV}/lib", f"/usr/lib/{PYTHON}"]
        # check=False: some packages carry test files that are no valid Python on purpose
        run([*enter, python, "-m", "compileall", "-q", "-j", "2", *compiled],
            check=False, env=environment)  # fmt: skip
    # The admin node hands them on: `pigsty node add`.
    shutil.copytree(wheels, scratch / "upper" / layout.WHEELS.lstrip("/"))
    for path in (scratch / "upper").iterdir():
        path.rename(target / path.name)
    _remove(scratch)


@contextmanager
def _entered(
    layers: Sequence[Path], scratch: Path | None = None, places: dict[Path, Path] | None = None
) -> Iterator[list[str]]:
    """Make a root file system fit to run commands in.

    Args:
        layers: its layers, the topmost first; without `scratch`, the one that is changed itself.
        scratch: where what is written goes (`upper`) and where it is mounted (`root`).
        places: folders of this host and where they are seen inside.

    Yields:
        The words before a command that run it inside.
    """
    root = layers[0]
    if scratch:
        root = scratch / "root"
        mounts.overlay(layers, scratch / "upper", scratch / "work", root)
    try:
        for source, target in ({Path("/proc"): Path("/proc"), Path("/dev"): Path("/dev")}
                               | (places or {})).items():  # fmt: skip
            mounts.bind(source, root / target.relative_to("/"))
        yield ["chroot", str(root)]
    finally:
        mounts.unmount_all(root)


def remove_all(paths: Paths) -> None:
    """Remove images, wheels and package archives, and what is mounted of them."""
    _remove(paths.cache)
