"""The exception of the bootstrap."""

from pigsty.errors import PigstyError


class BootstrapError(PigstyError):
    """The machine can't be prepared; the text says what to do about it."""
