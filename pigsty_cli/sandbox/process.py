"""Runs commands of the host: argument lists only, never a shell."""

import subprocess
from collections.abc import Mapping, Sequence

from pigsty_cli.sandbox.errors import CommandError


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and capture what it prints.

    Args:
        argv: the command and its arguments.
        check: raise when it fails.
        stdin: text for its standard input; without it, there is none.
        env: its whole environment; without it, ours.
        timeout: seconds after which it is killed; None waits for ever.

    Returns:
        The finished process with `stdout` and `stderr` as text.

    Raises:
        CommandError: it failed and `check` is set, or the program is missing (code 127), or it took
            longer than `timeout` (code 124).
    """
    try:
        done = subprocess.run(
            list(argv),
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env=env,
            timeout=timeout,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
        )
    except FileNotFoundError as error:
        raise CommandError(argv, 127, f"no such program: {error.filename}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(argv, 124, f"still running after {timeout:g} s") from error
    if check and done.returncode:
        raise CommandError(argv, done.returncode, done.stderr or done.stdout)
    return done
