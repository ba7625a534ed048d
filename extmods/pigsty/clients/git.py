"""The git work tree that a file stands in: brought forward to what its upstream has, nothing else.

What somebody has changed in the work tree stays: git refuses to go forward over it, and neither
stashes, merges nor rebases. git asks nobody for a password: a key of ssh or a credential helper of
the user that the Salt master runs as has to do.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError

#: User and password in the address of a remote.
_LOGIN = re.compile(r"://[^/@\s]+@")


def pull(file: Path) -> bool:
    """Bring the work tree of a file forward, as ``git pull --ff-only`` does.

    It is done in two steps, so that the deadline of the network never cuts off the second one,
    which writes the files.

    Args:
        file: a file of the work tree, or a link to one.

    Returns:
        Whether the work tree is another one now.

    Raises:
        ClientError: there is no git, no work tree, no upstream; the upstream doesn't answer in time
            or isn't ahead in a straight line; or somebody's changes are in the way.
    """
    folder = file.resolve().parent
    _git(folder, "fetch", "--quiet")
    before = _git(folder, "rev-parse", "HEAD")
    _git(folder, "merge", "--ff-only", "--no-autostash", "--quiet", "@{upstream}")
    return _git(folder, "rev-parse", "HEAD") != before


def _git(folder: Path, *words: str) -> str:
    """Run one command of git in a folder; return its output."""
    quiet = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "SSH_ASKPASS_REQUIRE": "never"}
    # systemd gives a service of root no home, and there the keys are.
    environment = {"HOME": str(Path.home()), **os.environ, **quiet}
    try:
        process = subprocess.Popen(
            ["git", "-C", str(folder), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            errors="replace",
            # ssh would ask at the terminal; and both end together.
            start_new_session=True,
            # An inventory may hold passwords, and git writes each version as a new file.
            umask=0o077,
        )
    except OSError as error:
        raise ClientError(f"git can't be run: {error.strerror}; is it installed?") from error
    limit = DEADLINES["git.command"]
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _end(process)
        raise ClientError(
            f"git {words[0]} in {folder}: not within {limit:g} s (deadline git.command)"
        ) from None
    if process.returncode:
        raise ClientError(f"git {words[0]} in {folder}: {_reason(err)}")
    return out.strip()


def _end(process: subprocess.Popen[str]) -> None:
    """End git and whom it started; first by a signal at which it takes its locks away."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=DEADLINES["git.ends"])
            return


def _reason(err: str) -> str:
    """Return what git said, in one line and without anybody's password."""
    lines = [line.strip() for line in err.splitlines()]
    told = [line for line in lines if line and not line.startswith("hint:")]
    return _LOGIN.sub("://", "; ".join(told)) or "failed without a word"
