"""A program of ours, run by the Python of another machine as root, over the host's own ssh."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pigsty.deadlines import DEADLINES
from pigsty_cli.errors import CliError

#: Host keys that were accepted for this deployment; those of the person's own file count as well.
KNOWN = Path("/etc/pigsty/known_hosts")
_OWN = "~/.ssh/known_hosts"
#: Exit codes of the few lines of shell that find Python, and those of ssh itself.
_NO_PYTHON, _NO_ROOT, _SSH = 97, 96, 255
_SHELL = f"""command -v python3 >/dev/null || exit {_NO_PYTHON}
if [ "$(id -u)" = 0 ]; then become=; else become="sudo -n"; $become true || exit {_NO_ROOT}; fi
exec $become python3 -c 'import sys
data = sys.stdin.buffer
exec(compile(data.read(int(data.readline())), "pigsty", "exec"))'"""


class SshError(CliError):
    """The machine can't be reached, or won't let us work as root; the text says which."""


class HostKeyUnknown(SshError):
    """The machine's host key is not one that anybody has confirmed."""


@dataclass(frozen=True, slots=True)
class Door:
    """How to reach a machine.

    Attributes:
        host: its address in the inventory, under which its host key is remembered.
        target: the address that is called, mostly the same.
        port: of its ssh.
        user: login name, "" for that of whoever runs this.
        key: file of a private key, "" for ssh's own choice.
        accept: whether a host key that nobody knows yet is accepted and remembered.
    """

    host: str
    target: str
    port: int = 22
    user: str = ""
    key: str = ""
    accept: bool = False

    def words(self, known: Path = KNOWN) -> list[str]:
        """Return ssh's command line for a program that reads standard input."""
        options = [
            "BatchMode=yes",
            f"StrictHostKeyChecking={'accept-new' if self.accept else 'yes'}",
            f"UserKnownHostsFile={known} {_OWN}",
            f"HostKeyAlias={self.host}",
            "HashKnownHosts=no",
            "UpdateHostKeys=no",
            f"ConnectTimeout={DEADLINES['ssh.connect']:.0f}",
            # A machine that dies in the middle is noticed.
            "ServerAliveInterval=10",
            "ServerAliveCountMax=3",
            "LogLevel=ERROR",
        ]
        login = f"{self.user}@{self.target}" if self.user else self.target
        identity = ["-i", self.key] if self.key else []
        return [
            "ssh", "-T", "-p", str(self.port), *identity,
            *(word for option in options for word in ("-o", option)),
            login, f"sh -c {shlex.quote(_SHELL)}",
        ]  # fmt: skip


def call(
    door: Door, program: str, deadline: str, send: Callable[[IO[bytes]], None] | None = None
) -> Any:
    """Run a program there and return the JSON that it prints.

    Args:
        door: the machine.
        program: source text; it travels on standard input, so nothing of it stands in argv.
        deadline: a name in :data:`pigsty.deadlines.DEADLINES`.
        send: writes what follows the program on standard input.

    Raises:
        SshError: it can't be reached, or the program failed; the text is the machine's.
    """
    source = program.encode()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            there = subprocess.Popen(door.words(), stdin=subprocess.PIPE, stdout=out, stderr=err)
        except FileNotFoundError as error:
            raise SshError("there is no ssh on this machine: install openssh-client") from error
        assert there.stdin is not None
        try:
            there.stdin.write(b"%d\n" % len(source) + source)
            if send is not None:
                send(there.stdin)
            there.stdin.close()
        except BrokenPipeError:
            pass  # it ended early, and says why
        try:
            code = there.wait(DEADLINES[deadline])
        except subprocess.TimeoutExpired:
            raise SshError(f"no end within {DEADLINES[deadline]:g} s ({deadline})") from None
        finally:
            there.kill()
            there.wait()
        out.seek(0)
        err.seek(0)
        return answer(
            code, out.read().decode(errors="replace"), err.read().decode(errors="replace")
        )


def answer(code: int, out: str, err: str) -> Any:
    """Return what a program answered.

    Args:
        code: exit code of ssh.
        out: its standard output.
        err: its standard error.

    Raises:
        SshError: it failed; the text says why in one line.
    """
    said = " | ".join(line.strip() for line in err.strip().splitlines()[-3:])
    if code == _NO_PYTHON:
        raise SshError("there is no python3: install it (Debian: `apt-get install python3`)")
    if code == _NO_ROOT:
        raise SshError(
            f"this user may not become root there without a password ({said}): log in as root, or "
            "let it use sudo with NOPASSWD"
        )
    if code == _SSH and "verification failed" in err:
        raise HostKeyUnknown(f"its host key is not known, or another one than before ({said})")
    if code == _SSH:
        raise SshError(_unreachable(said))
    if code:
        raise SshError(said or f"it ended with code {code}")
    try:
        return json.loads(out)
    except ValueError:
        raise SshError(f"its answer can't be read: {out[:80]!r}") from None


def _unreachable(said: str) -> str:
    if "Permission denied" in said:
        return f"it lets nobody in ({said}): ansible_user, ansible_ssh_private_key_file"
    return f"it can't be reached by ssh ({said or 'no answer'})"


def offered(door: Door) -> tuple[str, ...]:
    """Return the host keys that a machine shows, ``type key``; nobody has confirmed them."""
    words = ["ssh-keyscan", "-T", f"{DEADLINES['ssh.connect']:.0f}", "-p", str(door.port)]
    done = subprocess.run([*words, door.target], capture_output=True, text=True, check=False)
    rows = [line.split() for line in done.stdout.splitlines() if not line.startswith("#")]
    return tuple(" ".join(row[1:3]) for row in rows if len(row) >= 3)


def fingerprint(key: str) -> str:
    """Return the fingerprint of a host key ``type key`` as ``ssh-keygen -l`` shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def remembered(host: str, known: Path | None = None) -> tuple[str, ...]:
    """Return the host keys of a machine that were accepted."""
    rows = [line.split(None, 1) for line in _lines(known or KNOWN)]
    return tuple(row[1] for row in rows if len(row) == 2 and row[0] == host)


def remember(host: str, keys: Iterable[str], known: Path | None = None) -> None:
    """Accept host keys of a machine, in place of those that were accepted before."""
    known = known or KNOWN
    rest = [line for line in _lines(known) if line.split(None, 1)[0] != host]
    _write(known, [*rest, *(f"{host} {key}" for key in keys)])


def _lines(known: Path) -> list[str]:
    try:
        return [line for line in known.read_text("utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        return []


def _write(known: Path, lines: Sequence[str]) -> None:
    known.parent.mkdir(parents=True, exist_ok=True)
    new = known.with_name(f"{known.name}.new")
    new.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    new.replace(known)
