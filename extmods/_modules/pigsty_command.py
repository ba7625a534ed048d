"""Programs of the machine, each run within its deadline and without a question to anybody."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from salt.exceptions import CommandExecutionError

from pigsty.deadlines import DEADLINES

__virtualname__ = "pigsty_command"

#: What is kept of a program's words for an error.
_LONGEST = 1500


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def problem(command: Sequence[str], deadline: str = "node.command", stdin: str = "") -> str:
    """Run a program and return what is wrong with it, empty when it succeeds.

    Secrets go to ``stdin`` or into a file, never into the command: every user may read that.

    Args:
        command: program and arguments.
        deadline: a name in :data:`pigsty.deadlines.DEADLINES`.
        stdin: what the program reads.

    Returns:
        The end of what it says, or why it could not run.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_command.problem '[/usr/sbin/visudo, --check]'
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    # A program that is not in our own PATH (a minion may run with a short one).
    environment["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=environment,
            input=stdin,
            timeout=DEADLINES[deadline],
        )
    except FileNotFoundError:
        return f"{command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return f"not within {DEADLINES[deadline]:g} s (deadline {deadline})"
    if done.returncode == 0:
        return ""
    said = (done.stderr.strip() or done.stdout.strip())[-_LONGEST:]
    return said or f"it ended with {done.returncode}"


def run(command: Sequence[str], deadline: str = "node.command", stdin: str = "") -> None:
    """Run a program that has to succeed; see :func:`problem`.

    Raises:
        CommandExecutionError: it did not; the text holds its own words.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_command.run '[/usr/sbin/update-ca-certificates]'
    """
    failed = problem(command, deadline, stdin)
    if failed:
        raise CommandExecutionError(f"{command[0]}: {failed}")


def answer(
    command: Sequence[str],
    user: str,
    group: str,
    deadline: str,
    take: Callable[[str], bool] | None = None,
) -> str:
    """Run a program as somebody else, who sees nothing of root's environment; return its output.

    Args:
        command: program and arguments; no secret, as every user may read them.
        user: who runs it.
        group: its only group.
        deadline: a name in :data:`pigsty.deadlines.DEADLINES`.
        take: is given each line of the output while the program runs; what it says True of isn't
            kept, neither for the output nor for an error.

    Raises:
        CommandExecutionError: it failed (the text holds the end of its own words), or didn't end in
            time: then nothing of it is left.

    CLI Example:

    .. code-block:: bash

        salt-call pigsty_command.answer '[pgbackrest, version]' postgres postgres node.command
    """
    what = " ".join([Path(command[0]).name, *command[1:2]])
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd="/",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            user=user,
            group=group,
            extra_groups=[],
            # What it starts itself ends with it.
            start_new_session=True,
        )
    except FileNotFoundError:
        raise CommandExecutionError(f"{command[0]} is not installed") from None
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(DEADLINES[deadline], end)
    wrong: list[str] = []
    listener = threading.Thread(target=lambda: wrong.extend(process.stderr), daemon=True)  # type: ignore[arg-type]
    with process:
        timer.start()
        listener.start()
        try:
            said = [line for line in process.stdout or () if take is None or not take(line)]
            listener.join()
            process.wait()
        except BaseException:
            _kill(process)
            raise
        finally:
            timer.cancel()
    if late.is_set() and process.returncode:
        raise CommandExecutionError(
            f"{what}: not within {DEADLINES[deadline]:g} s (deadline {deadline})"
        )
    if process.returncode:
        words = ("".join(said).strip() + "\n" + "".join(wrong).strip()).strip()[-_LONGEST:]
        raise CommandExecutionError(f"{what}: {words or f'it ended with {process.returncode}'}")
    return "".join(said)


def _kill(process: subprocess.Popen[str]) -> None:
    """End a program and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
