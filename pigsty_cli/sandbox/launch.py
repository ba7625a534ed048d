"""Runs systemd-nspawn in control groups of its own: `python launch.py FILE... -- PROGRAM ARG...`.

A program of its own, because a process must be in its groups before systemd-nspawn begins, and code
between fork and exec is not safe in a process with threads. It imports nothing of this project.
"""

import os
import sys
from pathlib import Path

REBOOT = 133
"""systemd-nspawn's exit code when its machine wants to boot again."""


def main(words: list[str]) -> None:
    """Run what follows ``--`` in the groups before it, again for each time that it reboots."""
    split = words.index("--")
    while _run(words[:split], words[split + 1 :]) == REBOOT:
        pass


def _run(joins: list[str], command: list[str]) -> int:
    """Run a command whose process wrote its id into each of some files first."""
    child = os.fork()
    if child == 0:
        for name in joins:
            Path(name).write_text(f"{os.getpid()}\n", encoding="ascii")
        os.execvp(command[0], command)  # noqa: S606 - an argument list, no shell
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main(sys.argv[1:])
