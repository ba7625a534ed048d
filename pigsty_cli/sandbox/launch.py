"""Joins control groups, then becomes another program: `python launch.py FILE... -- PROGRAM ARG...`.

A program of its own, because a process must be in its groups before systemd-nspawn begins, and code
between fork and exec is not safe in a process with threads. It imports nothing of this project.
"""

import os
import sys
from pathlib import Path


def main(words: list[str]) -> None:
    """Write our process id into each file before ``--``, then run what follows it."""
    split = words.index("--")
    for name in words[:split]:
        Path(name).write_text(f"{os.getpid()}\n", encoding="ascii")
    command = words[split + 1 :]
    os.execvp(command[0], command)  # noqa: S606 - an argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
