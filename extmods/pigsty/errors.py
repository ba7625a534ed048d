"""The exceptions of the core. A person sees their text: what, where, and what would be right."""


class PigstyError(Exception):
    """Base of every error that this project raises on purpose."""


class CatalogueError(PigstyError):
    """The parameter catalogue itself is broken: a defect of the installation."""


class InventoryError(PigstyError):
    """The inventory can't be read: missing, empty, not UTF-8, not YAML, of the wrong shape.

    Args:
        message: what is wrong, without the place.
        path: dotted path of the key in the file, empty for the file as a whole.
        line: line in the file, counted from 1; None when there is no one line.
        hint: what would be right.
    """

    def __init__(
        self, message: str, *, path: str = "", line: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.message, self.path, self.line, self.hint = message, path, line, hint


class TemplateError(InventoryError):
    """A ``{{ … }}`` or ``${…}`` in a value can't be rendered: unknown name, cycle, bad syntax."""


class PillarError(PigstyError):
    """The pillar of a minion can't be computed; the minion must not run without it."""


class ClientError(PigstyError):
    """A service (Patroni, etcd, PostgreSQL …) refused or didn't answer within its deadline."""
