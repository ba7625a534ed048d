"""The `pigsty` command: a table of commands, each imported only when it is called.

Here stands what all commands share: one clear message for an expected error, the exit codes of
:mod:`pigsty_cli.exitcodes`, Ctrl-C, a reader that went away, and never a traceback.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module

import click

from pigsty import __version__
from pigsty.errors import PigstyError
from pigsty_cli import errors, exitcodes

#: Command -> one line of help. Help stands here so that `pigsty --help` imports no command.
#: The command itself is the click object `command` in `pigsty_cli/commands/<name>.py`.
COMMANDS = {
    "init": "Make this machine an admin node: the deployment's key, CA and Salt configuration.",
    "validate": "Check an inventory: every error and warning, with line and fix.",
    "apply": "Converge nodes to the inventory (or audit them with --test).",
    "plan": "What an edit of the inventory touches: hosts, states, and the differences.",
    "drift": "Which machines are no longer as they were applied.",
    "status": "Show nodes, their modules and whether they answer.",
    "node": "Machines: add bare ones over ssh, take some out, list them and their keys.",
    "events": "What happened, and what the system did about it.",
    "etcd": "Members of the store where clusters keep who leads: list, add, rm.",
    "pgsql": "PostgreSQL clusters: list, switch over, restart, back up, restore …",
    "cert": "Certificates: list them, rotate them, replace the CA.",
    "password": "Passwords of the system's own users: list where they come from, rotate them.",
    "infra": "The nodes that watch: status.",
    "targets": "What Prometheus looks at, and whether it gets an answer.",
    "alerts": "What is wrong now, what it means, and what to type next.",
    "logs": "Search what the programs of all nodes have written.",
    "pillar": "Show what one host gets from the inventory (secrets masked).",
    "schema": "Print the JSON Schema of the inventory, for editors.",
    "sandbox": "Four real nodes on this machine: up, status, exec, kill, partition …",
}

EPILOG = """\b
Examples:
  pigsty validate pigsty.yml
  pigsty apply pg-test --test
  pigsty pgsql list
  pigsty sandbox up
\b
Exit codes: 0 done, 1 failed or errors found, 2 wrong usage, 3 partly done, 4 refused,
70 defect of pigsty (PIGSTY_DEBUG=1 shows the traceback), 130 interrupted."""


class LazyGroup(click.Group):
    """A group that imports a command only when it runs or its own help is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        name = f"pigsty_cli.commands.{cmd_name}"
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise errors.CliError(f"`pigsty {cmd_name}` is not part of this installation") from None
        command: click.Command = module.command
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' help from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; name the nearest one when there is none of that name."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            ctx.fail(f"no such command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="pigsty")
def cli() -> None:
    """Pigsty on Salt: highly available PostgreSQL from one YAML file."""


def run(arguments: list[str] | None = None) -> int:
    """Run `pigsty` and return its exit code; every error is told on standard error.

    Args:
        arguments: the words after `pigsty`; those of the process by default.
    """
    stdout = sys.stdout
    try:
        result = cli.main(args=arguments, prog_name="pigsty", standalone_mode=False)
        # click replaces standard output when its reader has gone away.
        if sys.stdout is not stdout:
            return exitcodes.BROKEN_PIPE
        stdout.flush()
        return result if isinstance(result, int) else exitcodes.OK
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return exitcodes.USAGE
    except PigstyError as error:
        click.echo(f"pigsty: {errors.describe(error)}", err=True)
        return errors.exit_code(error)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("pigsty: interrupted", err=True)
        return exitcodes.INTERRUPTED
    except SystemExit as stop:
        if sys.stdout is not stdout:
            return exitcodes.BROKEN_PIPE
        return stop.code if isinstance(stop.code, int) else exitcodes.FAILED
    except BrokenPipeError:
        _discard_output()
        return exitcodes.BROKEN_PIPE
    except Exception as error:
        if isinstance(error, OSError) and (text := errors.of_machine(error)):
            _discard_output()
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"pigsty: {where}{text}", err=True)
            return exitcodes.FAILED
        return _defect(error)


def _discard_output() -> None:
    """Drop what is still buffered: it would raise again when standard output is closed."""
    with suppress(OSError):  # a test's output is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _defect(error: Exception) -> int:
    """Tell of an error that nobody expected; its traceback only with PIGSTY_DEBUG=1."""
    if os.environ.get("PIGSTY_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    click.echo(
        f"pigsty: this is a defect of pigsty, please report it: {type(error).__name__}: {error}\n"
        "        (the same command with PIGSTY_DEBUG=1 shows where)",
        err=True,
    )
    return exitcodes.BUG


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())
