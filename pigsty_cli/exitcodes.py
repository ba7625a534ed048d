"""The exit codes of `pigsty`, the same for every command (docs/cli.md is generated from TABLE)."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
PARTIAL: Final = 3
REFUSED: Final = 4
BUG: Final = 70
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

#: Code and meaning, for the documentation and `pigsty --help`.
TABLE: Final[dict[int, str]] = {
    OK: "done; for `validate`: no errors (warnings are allowed)",
    FAILED: "it failed on every target, or (validate) errors were found",
    USAGE: "wrong arguments, or a file that isn't there",
    PARTIAL: "it worked on some of the targets and failed on others",
    REFUSED: "refused before anything was changed: a safeguard, or a requirement that isn't met",
    BUG: "a defect of pigsty itself; PIGSTY_DEBUG=1 shows the traceback",
    INTERRUPTED: "interrupted with Ctrl-C",
    BROKEN_PIPE: "the reader of standard output went away",
}
