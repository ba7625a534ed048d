"""Errors of the command line, and how any error is told to a person."""

from __future__ import annotations

from pigsty.errors import InventoryError, PigstyError
from pigsty_cli import exitcodes


class CliError(PigstyError):
    """A command can't go on.

    Args:
        message: what is wrong and what would be right; one line if possible.
        exit_code: one of :mod:`pigsty_cli.exitcodes`.
    """

    def __init__(self, message: str, exit_code: int = exitcodes.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(CliError):
    """Wrong arguments, or a file that isn't there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exitcodes.USAGE)


class Refused(CliError):
    """Nothing was changed: a safeguard, or a requirement that isn't met."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exitcodes.REFUSED)


class Partial(CliError):
    """It worked on some targets and failed on others."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exitcodes.PARTIAL)


def exit_code(error: PigstyError) -> int:
    """Return the exit code of an error: its own ``exit_code``, else 1."""
    return int(getattr(error, "exit_code", exitcodes.FAILED))


def describe(error: PigstyError) -> str:
    """Return the text of an error for standard error, with its place and hint if it has them."""
    if not isinstance(error, InventoryError):
        return str(error)
    where = f"line {error.line}: " if error.line else ""
    path = f"{error.path}: " if error.path else ""
    hint = f" → {error.hint}" if error.hint else ""
    return f"{where}{path}{error.message}{hint}"
