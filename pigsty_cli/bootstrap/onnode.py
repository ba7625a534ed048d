"""Sent over ssh to a machine that becomes a node, and run by its own Python as root.

It imports nothing but Python's library, and is written so that even a Python 3.6 can say that it is
too old. `ACTION` and `HOST` are put before it by the sender (:mod:`pigsty_cli.enrolling`); data
follow the program on standard input. One JSON object is the answer.
"""

# ruff: noqa: F821, T201 - the sender sets ACTION and HOST; the answer is what is printed
# mypy: ignore-errors

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

VENV = Path("/opt/pigsty/venv")
#: There while Salt is being installed: what a crash left is no Salt.
HALF = Path("/opt/pigsty/venv.incomplete")
#: What comes over ssh, a private key among it, until it is in its place.
STAGING = Path("/opt/pigsty/.enrolment")
PKI = Path("/etc/salt/pki/minion")


def read(path):
    """Return a file's text without white space around it, "" when there is none."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def settings(path, mark):
    """Return the simple settings of a file, ``name: value`` or ``name=value``."""
    pairs = (line.partition(mark) for line in read(path).splitlines())
    return {name.strip(): value.strip().strip("\"'") for name, found, value in pairs if found}


def own_address():
    """Whether HOST is an address of this machine: only such a one can be bound."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.bind((HOST, 0))
        return True
    except OSError:
        return False
    finally:
        probe.close()


def salt():
    """Return the version of a whole Salt in our folder."""
    found = list(VENV.glob("lib/python3*/site-packages/salt-*.dist-info"))
    if not found or HALF.exists() or not (VENV / "bin/salt-minion").exists():
        return ""
    return found[0].name[len("salt-") : -len(".dist-info")]


def run(*words, **options):
    """Run a command; what it says on failure becomes the error."""
    words = [str(word) for word in words]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    if done.returncode:
        last = " | ".join(done.stdout.decode("utf-8", "replace").strip().splitlines()[-3:])
        raise SystemExit(f"{' '.join(words[:4])}: {last or done.returncode}")


def look():
    """Return what :class:`pigsty.enrolment.Facts` holds."""
    system = settings("/etc/os-release", "=")
    minion = settings("/etc/salt/minion.d/local.conf", ":")
    place = os.statvfs("/opt" if Path("/opt").is_dir() else "/")
    asked = ["systemctl", "is-active", "--quiet", "salt-minion.service"]
    major = system.get("VERSION_ID", "").split(".")[0]
    booted = Path("/run/systemd/system").is_dir()
    return {
        "system": f"{system.get('ID', '')}-{major}",
        "machine": os.uname().machine,
        "python": ".".join(str(number) for number in sys.version_info[:3]),
        "systemd": booted,
        "address": own_address(),
        "room": place.f_bavail * place.f_frsize,
        "salt": salt(),
        "id": minion.get("id", ""),
        "master": minion.get("master", ""),
        "public": read(PKI / "minion.pub"),
        "trusts": read(PKI / "minion_master.pub"),
        "active": booted and subprocess.call(asked, stderr=subprocess.DEVNULL) == 0,
    }


def receive():
    """Take what comes: wheels and files wait in a folder that only root may open."""
    shutil.rmtree(str(STAGING), ignore_errors=True)
    STAGING.parent.mkdir(parents=True, exist_ok=True)
    STAGING.mkdir(0o700)
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as parcel:
            parcel.extractall(str(STAGING), filter="tar")
        if (STAGING / "wheels").is_dir():
            install()
        place(STAGING / "root")
    finally:
        shutil.rmtree(str(STAGING), ignore_errors=True)
    run("systemctl", "daemon-reload")
    return {"salt": salt()}


def install():
    """Install Salt; whatever half an attempt has left goes first."""
    HALF.touch()
    shutil.rmtree(str(VENV), ignore_errors=True)
    run(sys.executable, "-m", "venv", "--without-pip", VENV)
    # pip comes along: Debian keeps it in a package of its own.
    words = [VENV / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-compile"]
    words += ["--find-links", STAGING / "wheels", "-r", STAGING / "requirements.txt"]
    clean = dict(os.environ, PYTHONPATH=str(STAGING / "pip"), PIP_CONFIG_FILE="/dev/null")
    clean["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    run(*words, env=clean)
    # Some packages carry files that are no valid Python on purpose: its exit code tells nothing.
    words = [str(VENV / "bin/python"), "-m", "compileall", "-q", "-j", "0", str(VENV / "lib")]
    subprocess.call(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    HALF.unlink()


def place(root):
    """Move files to their places, each at once and with the mode that it came with."""
    for folder, _folders, names in os.walk(str(root)):
        target = Path("/") / Path(folder).relative_to(root)
        if not target.is_dir():
            target.mkdir(parents=True)
            shutil.copymode(folder, str(target))
        for name in names:
            new = target / f".{name}.new"
            if os.path.lexists(str(new)):
                new.unlink()
            shutil.copy2(str(Path(folder) / name), str(new), follow_symlinks=False)
            new.replace(target / name)


def start():
    """Start the minion, anew if it runs: it reads its key only then."""
    run("systemctl", "reset-failed", "salt-minion.service")
    run("systemctl", "restart", "salt-minion.service")
    return {"active": True}


print(json.dumps({"look": look, "receive": receive, "start": start}[ACTION]()))
