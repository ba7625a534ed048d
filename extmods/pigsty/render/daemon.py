"""A daemon as it shall be: its unit, and which of its files it reads when."""

from __future__ import annotations

from dataclasses import dataclass

from pigsty.render.files import File, text


@dataclass(frozen=True, slots=True)
class Daemon:
    """A unit with its files.

    Attributes:
        unit: name of the unit, with its suffix.
        restart: files that it reads at its start only, drop-ins among them.
        reload: files that it reads again when it is told to.
        running: whether it shall run; one that shall not is stopped, and its files stay.
    """

    unit: str
    restart: tuple[File, ...] = ()
    reload: tuple[File, ...] = ()
    running: bool = True

    @property
    def files(self) -> tuple[File, ...]:
        """All of its files."""
        return (*self.restart, *self.reload)


def drop_in(unit: str, *lines: str) -> File:
    """Return our addition to a package's unit."""
    return File(f"/etc/systemd/system/{unit}.d/pigsty.conf", text(*lines))


def command(program: str, *options: str, user: str | None = None) -> tuple[str, ...]:
    """Return the lines of a unit's section that replace its command.

    Args:
        program: path of the program.
        options: its options; blanks and quotes in them are kept.
        user: who runs it, or None to leave that to the package.
    """
    line = " ".join([program, *(_word(option) for option in options)])
    return (*([f"User={user}"] if user else []), "ExecStart=", f"ExecStart={line}")


def _word(option: str) -> str:
    """Return one word of a command line as systemd reads it."""
    escaped = option.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if not option or any(letter in option for letter in " \t'\""):
        return '"' + escaped.replace('"', '\\"') + '"'
    return escaped
