"""The exceptions of the sandbox; each is one line that a person can act on."""

from collections.abc import Sequence

from pigsty.errors import PigstyError


class SandboxError(PigstyError):
    """The sandbox can't do what was asked."""


class PreflightError(SandboxError):
    """This host lacks something that the sandbox needs; nothing was changed."""


class CommandError(SandboxError):
    """A command of the host failed.

    Args:
        argv: the command.
        returncode: its exit code.
        output: what it wrote to standard error, or else to standard output.
    """

    def __init__(self, argv: Sequence[str], returncode: int, output: str) -> None:
        tail = " | ".join(output.strip().splitlines()[-5:]) or "no output"
        super().__init__(f"{' '.join(argv)}: exit code {returncode}: {tail}")
        self.argv, self.returncode, self.output = tuple(argv), returncode, output
